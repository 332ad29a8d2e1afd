-- +goose Up

-- The key that seals the entries of a part's stream in Redis: 244 random bits. Consumers get it from the producer.
ALTER TABLE event_parts ADD COLUMN stream_key bytea NOT NULL
    DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
