-- +goose Up

-- One row per partition. The relay numbers events under its row lock.
CREATE TABLE event_streams (
    part     integer PRIMARY KEY,
    gen      bigint  NOT NULL DEFAULT 1,  -- first half of the stream's entry ids
    last_pos bigint  NOT NULL DEFAULT 0,  -- last position given out
    safe_pos bigint  NOT NULL DEFAULT 0   -- appended to Redis before this generation began
);

-- What transactions have published and the relay has not numbered yet.
CREATE TABLE event_outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    part       integer     NOT NULL,
    event_id   uuid        NOT NULL,
    key        text        NOT NULL,
    envelope   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000
);

-- The history: every event, in the order of its partition. Kept by the day.
CREATE TABLE event_log (
    part       integer     NOT NULL,
    pos        bigint      NOT NULL,
    event_id   uuid        NOT NULL,
    key        text        NOT NULL,
    envelope   text        NOT NULL,
    created_at timestamptz NOT NULL,
    moved_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (part, pos, moved_at)
) PARTITION BY RANGE (moved_at);

-- The consumer groups of the streams, and what each needs kept: acknowledged is
-- all up to pos.
CREATE TABLE event_groups (
    part     integer     NOT NULL,
    consumer text        NOT NULL,
    gen      bigint      NOT NULL,
    pos      bigint      NOT NULL,
    pending  bigint      NOT NULL DEFAULT 0,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (part, consumer)
);

-- Catches what no day's partition takes, so that an insert never fails.
CREATE TABLE event_log_default PARTITION OF event_log DEFAULT;

-- How far a consumer has come in a stream.
CREATE TABLE event_offsets (
    consumer text   NOT NULL,
    stream   text   NOT NULL,
    gen      bigint NOT NULL DEFAULT 0,
    pos      bigint NOT NULL DEFAULT 0,
    -- Up to this position events are handled again, inbox or not.
    replay_to bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, stream)
);

-- What operators have decided about a consumer.
CREATE TABLE event_consumers (
    consumer text    PRIMARY KEY,
    paused   boolean NOT NULL DEFAULT false
);

-- What a consumer has taken responsibility for: handled, or parked.
CREATE TABLE event_inbox (
    consumer   text        NOT NULL,
    event_id   uuid        NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX event_inbox_age ON event_inbox USING brin (handled_at);

-- Events whose handler failed, and those of the same key behind them.
CREATE TABLE event_parked (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer   text        NOT NULL,
    event_id   uuid        NOT NULL,
    stream     text        NOT NULL,
    gen        bigint      NOT NULL,
    pos        bigint      NOT NULL,
    key        text        NOT NULL,
    envelope   text        NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT now(),
    last_error text        NOT NULL DEFAULT '',
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead', 'discarded')),
    parked_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer, event_id)
);
CREATE INDEX event_parked_key ON event_parked (consumer, stream, key, id) WHERE state <> 'discarded';
CREATE INDEX event_parked_due ON event_parked (consumer, next_at) WHERE state = 'waiting';

-- +goose Down
DROP TABLE event_parked, event_inbox, event_consumers, event_offsets, event_groups, event_log, event_outbox, event_streams;
