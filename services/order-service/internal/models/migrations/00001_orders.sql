-- +goose Up
CREATE TABLE orders (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    status     text        NOT NULL CHECK (status IN ('pending', 'completed', 'cancelled')),
    currency   text        NOT NULL,
    total      bigint      NOT NULL, -- minor units
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX orders_user ON orders (user_id, id);
CREATE INDEX orders_status ON orders (status, id);

CREATE TABLE order_items (
    order_id   uuid   NOT NULL REFERENCES orders (id),
    line       int    NOT NULL,
    sku        text   NOT NULL,
    quantity   bigint NOT NULL,
    unit_price bigint NOT NULL, -- minor units

    PRIMARY KEY (order_id, line)
);

-- The key is taken before its order is written, so that a second request with
-- it waits here instead of working in vain; hence the deferred reference.
CREATE TABLE idempotency_keys (
    caller       text        NOT NULL,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    order_id     uuid        NOT NULL REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED,
    created_at   timestamptz NOT NULL,

    PRIMARY KEY (caller, key)
);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE order_items;
DROP TABLE orders;
