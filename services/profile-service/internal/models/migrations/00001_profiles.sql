-- +goose Up
CREATE TABLE profiles (
    user_id      uuid        PRIMARY KEY,
    name         text        NOT NULL, -- the user's, as user-service last told it
    revision     bigint      NOT NULL, -- of the user, when name was told
    display_name text,                 -- chosen by the person; NULL follows name
    bio          text        NOT NULL DEFAULT '',
    avatar_url   text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz,

    -- A deleted profile keeps its id and nothing of the person.
    CONSTRAINT profiles_scrubbed CHECK (
        deleted_at IS NULL OR (name = '' AND display_name IS NULL AND bio = '' AND avatar_url = '')
    )
);

-- One row per order instead of a counter per user: a completion that is told
-- again changes nothing, and orders of one user never wait for each other.
-- There is no foreign key, because an order may be told of before its user.
CREATE TABLE completed_orders (
    order_id uuid   PRIMARY KEY,
    user_id  uuid   NOT NULL,
    currency text   NOT NULL,
    total    bigint NOT NULL
);

CREATE INDEX completed_orders_user ON completed_orders (user_id, currency) INCLUDE (total);

-- The total stops at 2^53-1, the largest integer that every JSON reader keeps.
CREATE VIEW order_totals AS
SELECT user_id, currency, count(*) AS orders, least(sum(total), 9007199254740991)::bigint AS total
FROM completed_orders
GROUP BY user_id, currency;

-- +goose Down
DROP VIEW order_totals;
DROP TABLE completed_orders;
DROP TABLE profiles;
