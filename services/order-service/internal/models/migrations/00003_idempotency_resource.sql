-- +goose Up
-- pkg/idempotency keeps the keys from here on, under its own name for what a key
-- stands for. Instances of the release before go on writing order_id.
ALTER TABLE idempotency_keys ADD COLUMN resource_id uuid;
UPDATE idempotency_keys SET resource_id = order_id;

-- +goose StatementBegin
CREATE FUNCTION idempotency_keys_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.resource_id := coalesce(NEW.resource_id, NEW.order_id);
    NEW.order_id := coalesce(NEW.order_id, NEW.resource_id);
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER idempotency_keys_both BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION idempotency_keys_both();

-- +goose Down
DROP TRIGGER idempotency_keys_both ON idempotency_keys;
DROP FUNCTION idempotency_keys_both();
ALTER TABLE idempotency_keys DROP COLUMN resource_id;
