-- +goose Up

-- What a deletion has to erase: personal marks a payload with personal data, erases an
-- event that ends its key. In the log, both mean that it is still to be done: a redacted
-- row is not personal any more, and an event whose earlier rows are redacted does not erase.
-- Rows of a release without these columns may hold personal data.
ALTER TABLE event_outbox ADD COLUMN personal boolean NOT NULL DEFAULT true, ADD COLUMN erases boolean NOT NULL DEFAULT false;
ALTER TABLE event_log ADD COLUMN personal boolean NOT NULL DEFAULT true, ADD COLUMN erases boolean NOT NULL DEFAULT false;
CREATE INDEX event_log_personal ON event_log (key) WHERE personal;
CREATE INDEX event_log_erases ON event_log (part, pos) WHERE erases;

-- +goose Down
ALTER TABLE event_log DROP COLUMN personal, DROP COLUMN erases;
ALTER TABLE event_outbox DROP COLUMN personal, DROP COLUMN erases;
