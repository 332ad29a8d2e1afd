-- +goose Up
CREATE INDEX idempotency_keys_resource ON idempotency_keys (resource_id);

-- +goose Down
DROP INDEX idempotency_keys_resource;
