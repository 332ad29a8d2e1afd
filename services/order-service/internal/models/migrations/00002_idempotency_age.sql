-- +goose Up
-- The database's clock says how old a key is, whatever clocks the replicas have.
ALTER TABLE idempotency_keys ALTER COLUMN created_at SET DEFAULT now();
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP INDEX idempotency_keys_age;
ALTER TABLE idempotency_keys ALTER COLUMN created_at DROP DEFAULT;
