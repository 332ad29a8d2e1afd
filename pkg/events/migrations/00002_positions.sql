-- +goose Up

-- The second edition: the log is a chain of positions, and a consumer stands at
-- one. See docs/events.md. A database of the first edition is carried over, with
-- its log, what waits and what is parked.

ALTER TABLE event_log     RENAME TO event_log_1;
ALTER INDEX event_log_pkey RENAME TO event_log_1_pkey;
ALTER TABLE event_offsets RENAME TO event_offsets_1;
ALTER INDEX event_offsets_pkey RENAME TO event_offsets_1_pkey;
ALTER TABLE event_inbox   RENAME TO event_inbox_1;
ALTER INDEX event_inbox_pkey RENAME TO event_inbox_1_pkey;
ALTER TABLE event_parked  RENAME TO event_parked_1;
ALTER INDEX event_parked_pkey RENAME TO event_parked_1_pkey;
ALTER INDEX event_parked_due RENAME TO event_parked_1_due;
ALTER INDEX event_parked_key RENAME TO event_parked_1_key;

-- One row: the layout that events are given their places in, and who relays.
CREATE TABLE event_source (
    id          boolean PRIMARY KEY DEFAULT true CHECK (id),
    layout      bigint  NOT NULL,
    base        bigint  NOT NULL, -- number of the layout's first part
    count       integer NOT NULL CHECK (count BETWEEN 1 AND 256),
    relay       bigint  NOT NULL DEFAULT 0, -- a lease; it saves work and proves nothing
    relay_until timestamptz NOT NULL DEFAULT '-infinity'
);

-- One row per part of the log, of all layouts.
CREATE TABLE event_parts (
    part      bigint  PRIMARY KEY,
    layout    bigint  NOT NULL,
    last_pos  bigint  NOT NULL DEFAULT 0,
    last_mark bigint  NOT NULL DEFAULT 0,
    closed    boolean NOT NULL DEFAULT false
);

-- What transactions have published and the relay has not placed yet. A row
-- without hash was written by the first edition, which chose the part.
ALTER TABLE event_outbox ADD COLUMN hash bigint, ALTER COLUMN part DROP NOT NULL;
ALTER TABLE event_outbox ALTER COLUMN envelope SET STORAGE EXTERNAL;

-- The history: every event, in the order of its part, each with a random mark
-- and that of its predecessor. Only a prefix is ever deleted.
CREATE TABLE event_log (
    part      bigint      NOT NULL,
    pos       bigint      NOT NULL,
    mark      bigint      NOT NULL,
    prev_mark bigint      NOT NULL,
    event_id  uuid        NOT NULL,
    key       text        NOT NULL,
    envelope  text        NOT NULL,
    moved_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (part, pos)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE event_log ALTER COLUMN envelope SET STORAGE EXTERNAL;

-- The instances of a consumer that are alive.
CREATE TABLE event_instances (
    consumer text        NOT NULL,
    instance bigint      NOT NULL,
    seen_at  timestamptz NOT NULL,
    PRIMARY KEY (consumer, instance)
);

-- Where a consumer stands, and which instance works there.
CREATE TABLE event_offsets (
    consumer text   NOT NULL,
    source   text   NOT NULL,
    part     bigint NOT NULL,
    pos      bigint NOT NULL DEFAULT 0,
    mark     bigint NOT NULL DEFAULT 0,
    owner    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, source, part)
) WITH (fillfactor = 50);

-- What a consumer has taken: applied, parked or passed by, and where it stood.
CREATE TABLE event_inbox (
    consumer text   NOT NULL,
    event_id uuid   NOT NULL,
    source   text   NOT NULL,
    part     bigint NOT NULL,
    pos      bigint NOT NULL,
    mark     bigint NOT NULL, -- 0 if the producer's history no longer has it
    passed   boolean NOT NULL DEFAULT false, -- no release handled its type
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX event_inbox_place ON event_inbox (consumer, source, part, pos);

-- The event types that a consumer's newest release handles.
CREATE TABLE event_types (
    consumer text    NOT NULL,
    source   text    NOT NULL,
    event    text    NOT NULL,
    version  integer NOT NULL,
    PRIMARY KEY (consumer, source, event)
);

-- Keys with parked events. While its row exists, a key waits.
CREATE TABLE event_keys (
    consumer text        NOT NULL,
    source   text        NOT NULL,
    key      text        NOT NULL,
    state    text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'ahead', 'dead')),
    attempts integer     NOT NULL DEFAULT 0,  -- of its first event
    since    timestamptz NOT NULL DEFAULT clock_timestamp(), -- its first attempt
    next_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    error    text        NOT NULL DEFAULT '',
    PRIMARY KEY (consumer, source, key)
);
CREATE INDEX event_keys_due ON event_keys (consumer, next_at) WHERE state <> 'dead';

-- The events that wait, in the order of their numbers.
CREATE TABLE event_parked (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer  text        NOT NULL,
    source    text        NOT NULL,
    key       text        NOT NULL,
    event_id  uuid        NOT NULL,
    event     text        NOT NULL, -- the type's name, '' if it cannot be read
    part      bigint      NOT NULL,
    pos       bigint      NOT NULL,
    mark      bigint      NOT NULL,
    envelope  text        NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (consumer, source, key) REFERENCES event_keys
);
ALTER TABLE event_parked ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE INDEX event_parked_key ON event_parked (consumer, source, key, id);
CREATE INDEX event_parked_event ON event_parked (consumer, event_id);

-- The log of the first edition becomes layout 1, with parts numbered as they
-- were and marks equal to positions; a new database begins with 4 parts.
INSERT INTO event_parts (part, layout, last_pos, last_mark)
SELECT part, 1, last_pos, last_pos FROM event_streams;

INSERT INTO event_source (layout, base, count)
SELECT 1, 0, max(part) + 1 FROM event_streams HAVING count(*) > 0;

-- A row of the outbox may name a part that the relay of the first edition has not
-- met yet; it filled up to the configured number at its start.
INSERT INTO event_parts (part, layout)
SELECT n, 1 FROM generate_series(0, (SELECT count - 1 FROM event_source)) n ON CONFLICT DO NOTHING;

INSERT INTO event_log (part, pos, mark, prev_mark, event_id, key, envelope, moved_at)
SELECT part, pos, pos, pos - 1, event_id, key, envelope, moved_at FROM event_log_1;

INSERT INTO event_source (layout, base, count)
SELECT 1, (random() * 4611686018427387904)::bigint, 4 WHERE NOT EXISTS (SELECT 1 FROM event_source);
INSERT INTO event_parts (part, layout)
SELECT base + n, layout FROM event_source, generate_series(0, count - 1) n ON CONFLICT DO NOTHING;

INSERT INTO event_offsets (consumer, source, part, pos, mark)
SELECT consumer, substring(stream FROM '\{(.*):\d+\}$'), substring(stream FROM ':(\d+)\}$')::bigint, pos, pos
FROM event_offsets_1 WHERE stream ~ '\{.*:\d+\}$';

-- Places are not known of what the first edition took: its rows have none, and
-- never go by themselves.
INSERT INTO event_inbox (consumer, event_id, source, part, pos, mark)
SELECT consumer, event_id, '', 0, 0, 0 FROM event_inbox_1;

-- Events without a key did not wait for each other: each is its own key now.
WITH parked AS (
    SELECT *, substring(stream FROM '\{(.*):\d+\}$') AS source, CASE key WHEN '' THEN event_id::text ELSE key END AS own,
           row_number() OVER (PARTITION BY consumer, stream, CASE key WHEN '' THEN event_id::text ELSE key END ORDER BY id) AS n
    FROM event_parked_1 WHERE state <> 'discarded'
)
INSERT INTO event_keys (consumer, source, key, state, attempts, next_at, error)
SELECT consumer, source, own, CASE state WHEN 'dead' THEN 'dead' ELSE 'waiting' END, attempts, next_at, last_error
FROM parked WHERE n = 1 ON CONFLICT DO NOTHING;

INSERT INTO event_parked (consumer, source, key, event_id, event, part, pos, mark, envelope, parked_at)
SELECT consumer, substring(stream FROM '\{(.*):\d+\}$'), CASE key WHEN '' THEN event_id::text ELSE key END, event_id,
       coalesce(substring(envelope FROM '^\{"event":"([^"]*)"'), ''), substring(stream FROM ':(\d+)\}$')::bigint, pos, pos, envelope, parked_at
FROM event_parked_1 WHERE state <> 'discarded' ORDER BY id;

DROP TABLE event_log_1, event_offsets_1, event_inbox_1, event_parked_1, event_streams, event_groups;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the first edition cannot read this log: restore a backup'; END $$;
-- +goose StatementEnd
