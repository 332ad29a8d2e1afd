-- +goose Up
-- A user without a row cannot log in. The hash is argon2id in the PHC string format.
CREATE TABLE credentials (
    user_id       uuid PRIMARY KEY REFERENCES users (id),
    password_hash text NOT NULL
);

-- The tokens of one login are a family. Used tokens stay, so that a second use is noticed.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY, -- SHA-256 of the token
    family     uuid        NOT NULL,
    user_id    uuid        NOT NULL REFERENCES users (id),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Attempts in the current window of an account or an address, by a SHA-256 of it.
CREATE TABLE auth_attempts (
    subject   bytea       PRIMARY KEY,
    count     bigint      NOT NULL,
    resets_at timestamptz NOT NULL
);
CREATE INDEX auth_attempts_reset ON auth_attempts (resets_at);

-- +goose Down
DROP TABLE auth_attempts;
DROP TABLE refresh_tokens;
DROP TABLE credentials;
