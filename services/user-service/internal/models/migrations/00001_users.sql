-- +goose Up
CREATE TABLE users (
    id         uuid        PRIMARY KEY,
    email      text        NOT NULL,
    name       text        NOT NULL,
    revision   bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,

    -- A deleted user keeps its id and nothing of the person.
    CONSTRAINT users_scrubbed CHECK (deleted_at IS NULL OR (email = '' AND name = ''))
);

CREATE UNIQUE INDEX users_living_email ON users (email) WHERE deleted_at IS NULL;

-- +goose Down
DROP TABLE users;
