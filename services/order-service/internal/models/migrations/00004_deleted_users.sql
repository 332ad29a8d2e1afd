-- +goose Up
-- The users whose deletion this service has handled: nothing but their ids.
CREATE TABLE deleted_users (
    user_id    uuid        PRIMARY KEY,
    deleted_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE deleted_users;
