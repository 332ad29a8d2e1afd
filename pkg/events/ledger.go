package events

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ledger is the relay's side of the database: it numbers what was published and
// reads the numbered history. It works on one connection, the one that holds
// the relay's lock, and serves one goroutine.
type ledger struct {
	conn  *pgx.Conn
	floor floor
}

// A move is a batch, hence one round trip and one transaction, of two
// statements: the second sees what was committed once the first has the locks.
// Numbering at the move and not at the insert is what keeps a transaction that
// commits late from being passed over.
const (
	lockStreams = `SELECT part FROM event_streams ORDER BY part FOR UPDATE`

	moveOutbox = `
WITH taken AS (
	DELETE FROM event_outbox WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM event_outbox
		WHERE id > $2 AND part = ANY (ARRAY(SELECT part FROM event_streams)) ORDER BY id LIMIT $1))
	RETURNING id, part, event_id, key, envelope, created_at
), numbered AS (
	SELECT t.*, s.gen, s.last_pos + row_number() OVER (PARTITION BY t.part ORDER BY t.id) AS pos
	FROM taken t JOIN event_streams s USING (part)
), logged AS (
	INSERT INTO event_log (part, pos, event_id, key, envelope, created_at)
	SELECT part, pos, event_id, key, envelope, created_at FROM numbered
), advanced AS (
	UPDATE event_streams s SET last_pos = n.pos
	FROM (SELECT part, max(pos) AS pos FROM numbered GROUP BY part) n WHERE s.part = n.part
)
SELECT part, gen, pos, event_id::text, envelope, id,
	(SELECT pg_current_xact_id()::text::bigint), (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
FROM numbered ORDER BY part, pos`

	// The planner knows a queue only as it was when it was last analyzed. Both of
	// its tables are always best read by their keys.
	planByKey = `SET enable_seqscan = off; SET jit = off`
)

// move takes at most limit events from the outbox into the log and gives them
// by partition, in order; a full move looks below the floor as well. Any number
// of processes may move at once.
func (l *ledger) move(ctx context.Context, limit int, full bool) (map[int][]record, int, error) {
	batch := &pgx.Batch{}
	batch.Queue(lockStreams)
	batch.Queue(moveOutbox, limit, l.above(full))
	results := l.conn.SendBatch(ctx, batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return nil, 0, fmt.Errorf("lock event streams: %w", err)
	}
	rows, err := results.Query()
	if err != nil {
		return nil, 0, fmt.Errorf("move outbox: %w", err)
	}
	moved, n := map[int][]record{}, 0
	var part int
	var r record
	var id, highest, xact, xmin int64
	_, err = pgx.ForEachRow(rows, []any{&part, &r.at.gen, &r.at.pos, &r.id, &r.envelope, &id, &xact, &xmin}, func() error {
		moved[part] = append(moved[part], r)
		highest = max(highest, id)
		n++
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("move outbox: %w", err)
	}
	if err := results.Close(); err != nil { // the commit
		return nil, 0, fmt.Errorf("move outbox: %w", err)
	}
	if n > 0 {
		l.floor.moved(highest, n == limit, xact, xmin)
	}
	return moved, n, nil
}

// above is the id behind which to look.
func (l *ledger) above(full bool) int64 {
	if full {
		return 0
	}
	return l.floor.id
}

// floor is an id of the outbox at and below which nothing is left and nothing
// can come any more. Without it every look would pass over the rows removed
// since the oldest snapshot in the database was taken.
//
// A transaction takes the ids of its rows after its own transaction id, so
// whoever may still commit a row below one that a move has seen, began before
// the next move did. Once that move's transaction id is older than all that are
// open, the floor can rise. (A transaction whose very first write is an event
// takes them the other way round. Its event is found by the next full sweep.)
type floor struct {
	id     int64
	seen   int64 // highest id moved; 0 for none since the floor rose
	before int64 // who took a lower id has a lower transaction id; 0 while unknown
}

// moved tells of a move in transaction xact, with rows up to highest, under a
// snapshot in which no transaction below xmin was open. If it was cut, rows
// behind highest were left.
func (f *floor) moved(highest int64, cut bool, xact, xmin int64) {
	switch {
	case f.seen == 0:
		f.seen = highest
	case f.before == 0:
		f.before = xact
	case xmin >= f.before:
		if cut {
			f.seen = min(f.seen, highest)
		}
		*f = floor{id: max(f.id, f.seen)}
	}
}

// streamState is a row of event_streams.
type streamState struct {
	part int
	last position
	safe int64
}

// makeStreams makes the rows of partitions 0 to n-1, and of any other that the
// outbox holds. Those are its oldest: the rest gets moved.
func (l *ledger) makeStreams(ctx context.Context, n int) error {
	_, err := l.conn.Exec(ctx, `
INSERT INTO event_streams (part)
SELECT generate_series(0, $1 - 1)
UNION SELECT part FROM (SELECT part FROM event_outbox ORDER BY id LIMIT 1000) oldest
ON CONFLICT DO NOTHING`, n)
	if err != nil {
		return fmt.Errorf("make event streams: %w", err)
	}
	return nil
}

// streams reads the rows of all partitions.
func (l *ledger) streams(ctx context.Context) ([]streamState, error) {
	rows, err := l.conn.Query(ctx, `SELECT part, gen, last_pos, safe_pos FROM event_streams ORDER BY part`)
	if err != nil {
		return nil, fmt.Errorf("read event streams: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (streamState, error) {
		var s streamState
		err := row.Scan(&s.part, &s.last.gen, &s.last.pos, &s.safe)
		return s, err
	})
}

// stream reads the row of one partition.
func (l *ledger) stream(ctx context.Context, part int) (streamState, error) {
	s := streamState{part: part}
	err := l.conn.QueryRow(ctx, `SELECT gen, last_pos, safe_pos FROM event_streams WHERE part = $1`, part).
		Scan(&s.last.gen, &s.last.pos, &s.safe)
	if err != nil {
		return s, fmt.Errorf("read event stream %d: %w", part, err)
	}
	return s, nil
}

// advance begins generation gen of a partition, unless another relay has begun
// one as high. Appending starts again behind safe.
func (l *ledger) advance(ctx context.Context, part int, gen, safe int64) error {
	_, err := l.conn.Exec(ctx,
		`UPDATE event_streams SET gen = $2, safe_pos = $3 WHERE part = $1 AND gen < $2`, part, gen, safe)
	if err != nil {
		return fmt.Errorf("begin generation %d of event stream %d: %w", gen, part, err)
	}
	return nil
}

// read gives at most limit events of a partition behind pos, in order, as
// entries of generation gen.
func (l *ledger) read(ctx context.Context, part int, gen, pos int64, limit int) ([]record, error) {
	rows, err := l.conn.Query(ctx, `
SELECT pos, event_id::text, envelope FROM event_log
WHERE part = $1 AND pos > $2 ORDER BY pos LIMIT $3`, part, pos, limit)
	if err != nil {
		return nil, fmt.Errorf("read event log: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (record, error) {
		r := record{at: position{gen: gen}}
		err := row.Scan(&r.at.pos, &r.id, &r.envelope)
		return r, err
	})
}

// eventAt gives the id of the event at a position, or "" if the log does not
// hold it (any more).
func (l *ledger) eventAt(ctx context.Context, part int, pos int64) (string, error) {
	var id string
	err := l.conn.QueryRow(ctx, `SELECT event_id::text FROM event_log WHERE part = $1 AND pos = $2`, part, pos).Scan(&id)
	if err == pgx.ErrNoRows {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read event log: %w", err)
	}
	return id, nil
}

// waiting reports whether there is anything in the outbox.
func (l *ledger) waiting(ctx context.Context, full bool) (bool, error) {
	var waiting bool
	err := l.conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM event_outbox WHERE id > $1)`, l.above(full)).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("look into outbox: %w", err)
	}
	return waiting, nil
}

// backlog counts what waits in the outbox, up to 100,000, and tells the age of
// the oldest.
func (l *ledger) backlog(ctx context.Context) (int64, time.Duration, error) {
	var n int64
	var seconds float64
	err := l.conn.QueryRow(ctx, `
SELECT (SELECT count(*) FROM (SELECT 1 FROM event_outbox WHERE id > $1 LIMIT 100000) o),
	coalesce((SELECT extract(epoch FROM now() - created_at) FROM event_outbox WHERE id > $1 ORDER BY id LIMIT 1), 0)`,
		l.floor.id).Scan(&n, &seconds)
	if err != nil {
		return 0, 0, fmt.Errorf("count outbox: %w", err)
	}
	return n, time.Duration(seconds * float64(time.Second)), nil
}

// keepDays makes the log's partitions of today and the next two days (UTC), and
// drops those older than days.
func (l *ledger) keepDays(ctx context.Context, days int) error {
	_, err := l.conn.Exec(ctx, fmt.Sprintf(`
DO $$
DECLARE
	today date := (now() AT TIME ZONE 'UTC')::date;
	d date;
	old text;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('troika event_log partitions'));
	FOR d IN SELECT today + n FROM generate_series(0, 2) n LOOP
		IF to_regclass('event_log_' || to_char(d, 'YYYYMMDD')) IS NULL THEN
			EXECUTE format('CREATE TABLE %%I PARTITION OF event_log FOR VALUES FROM (%%L) TO (%%L)',
				'event_log_' || to_char(d, 'YYYYMMDD'),
				d::timestamp AT TIME ZONE 'UTC', (d + 1)::timestamp AT TIME ZONE 'UTC');
		END IF;
	END LOOP;
	FOR old IN SELECT inhrelid::regclass::text FROM pg_inherits
		WHERE inhparent = 'event_log'::regclass AND inhrelid::regclass::text ~ '^event_log_\d{8}$'
			AND inhrelid::regclass::text < 'event_log_' || to_char(today - %d, 'YYYYMMDD') LOOP
		EXECUTE format('DROP TABLE %%I', old);
	END LOOP;
	DELETE FROM event_log_default WHERE moved_at < today - %d;
END $$`, days, days))
	if err != nil {
		return fmt.Errorf("keep the days of the event log: %w", err)
	}
	return nil
}
