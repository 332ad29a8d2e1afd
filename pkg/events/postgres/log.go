package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
)

const (
	moveCount = 500     // events placed at once
	moveBytes = 4 << 20 // and their bytes, but for one event
)

// Log is a producer's outbox and log: the relay's [relay.Database].
type Log struct {
	pool      *pgxpool.Pool
	watermark watermark // of the one goroutine that moves
	last      place     // of its last move
}

// place is a part's end.
type place struct {
	part int64
	events.Position
}

// NewLog returns the outbox and log in the database of pool.
func NewLog(pool *pgxpool.Pool) *Log { return &Log{pool: pool} }

// wrap adds what was being done to an error of the pool.
func wrap(doing string, err error) error { return fmt.Errorf("%s: %w", doing, database.Translate(err)) }

// settings bound a transaction's waits, and make the planner use indexes: its statistics
// of a queue are from when the table was last analyzed.
const settings = `SELECT set_config('lock_timeout', '1s', true), set_config('statement_timeout', '5s', true),
	set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// Lead implements [relay.Database]. A lease that ends later than any can have been
// taken for counts as over: clocks step.
func (l *Log) Lead(ctx context.Context, me int64, d time.Duration) (bool, error) {
	batch := &pgx.Batch{}
	batch.Queue(settings)
	batch.Queue(`
UPDATE event_source SET relay = $1, relay_until = clock_timestamp() + $2 * interval '1 second'
WHERE relay = $1 OR relay_until < clock_timestamp() OR relay_until > clock_timestamp() + $2 * interval '1 second'`, me, d.Seconds())
	results := l.pool.SendBatch(ctx, batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return false, wrap("lease relay", err)
	}
	tag, err := results.Exec()
	if err == nil {
		err = results.Close()
	}
	if err != nil {
		return false, wrap("lease relay", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Resign implements [relay.Database].
func (l *Log) Resign(ctx context.Context, me int64) error {
	_, err := l.pool.Exec(ctx, `UPDATE event_source SET relay = 0, relay_until = '-infinity' WHERE relay = $1`, me)
	if err != nil {
		return wrap("give up relay's lease", err)
	}
	return nil
}

// A move is one transaction and one round trip. The first statement locks the layout
// against other relays and changes of the layout, if there is anything to move; the
// second sees all rows committed by then. Places are given at the move and not at the
// insert, so that a transaction that commits late is not skipped.
const (
	// The watermark $1 is of the history that has the last move. After a restore or a
	// failover that lost it, the outbox counts from before.
	lastMove = `EXISTS (SELECT 1 FROM event_parts WHERE part = $2 AND last_pos = $3 AND last_mark = $4)`
	above    = `(SELECT CASE WHEN ` + lastMove + ` THEN $1::bigint ELSE 0 END)`

	lockSource = `SELECT 1 FROM event_source WHERE EXISTS (SELECT 1 FROM event_outbox WHERE id > ` + above + `) FOR UPDATE`

	moveOutbox = `
WITH oldest AS (
	SELECT ctid AS place, octet_length(envelope) AS size, id FROM event_outbox WHERE id > ` + above + ` ORDER BY id LIMIT $5
), fitting AS (
	SELECT place FROM (SELECT place, sum(size) OVER (ORDER BY id) AS bytes, row_number() OVER (ORDER BY id) AS n FROM oldest) o
	WHERE bytes <= $6 OR n = 1
), taken AS MATERIALIZED (
	DELETE FROM event_outbox WHERE ctid = ANY (ARRAY(SELECT place FROM fitting))
	RETURNING id, event_id, key, coalesce(hash, part::bigint) AS hash, envelope, personal, erases,
		(random() * 9007199254740992)::bigint AS mark
), placed AS (
	SELECT t.*, p.part, p.last_pos + row_number() OVER own AS pos, coalesce(lag(t.mark) OVER own, p.last_mark) AS prev_mark
	FROM taken t CROSS JOIN event_source s JOIN event_parts p ON p.part = s.base + t.hash % s.count
	WINDOW own AS (PARTITION BY p.part ORDER BY t.id)
), logged AS (
	INSERT INTO event_log (part, pos, mark, prev_mark, event_id, key, envelope, personal, erases)
	SELECT part, pos, mark, prev_mark, event_id, key, envelope, personal, erases FROM placed
), advanced AS (
	UPDATE event_parts p SET last_pos = n.pos, last_mark = n.mark
	FROM (SELECT DISTINCT ON (part) part, pos, mark FROM placed ORDER BY part, pos DESC) n WHERE p.part = n.part
)
SELECT part, pos, mark, prev_mark, event_id, key, envelope, personal, id, (SELECT count(*) FROM oldest), ` + lastMove + `,
	(SELECT pg_current_xact_id()::text::bigint), (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
FROM placed ORDER BY part, pos`
)

// Move implements [relay.Database].
func (l *Log) Move(ctx context.Context, sweep bool) (map[int64][]events.Record, bool, error) {
	low := l.watermark.id
	if sweep {
		low = 0
	}
	batch := &pgx.Batch{}
	batch.Queue(settings)
	batch.Queue(lockSource, low, l.last.part, l.last.Pos, l.last.Mark)
	batch.Queue(moveOutbox, low, l.last.part, l.last.Pos, l.last.Mark, moveCount, moveBytes)
	results := l.pool.SendBatch(ctx, batch)
	defer results.Close()
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, false, wrap("lock event source", err)
		}
	}
	moved, full, err := l.moved(results)
	if err == nil {
		err = results.Close() // the commit
	}
	if err != nil {
		return nil, false, wrap("move outbox", err)
	}
	return moved, full, nil
}

func (l *Log) moved(results pgx.BatchResults) (map[int64][]events.Record, bool, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, false, err
	}
	moved := map[int64][]events.Record{}
	var part, id, highest, found, xact, xmin int64
	var event pgtype.UUID
	var r events.Record
	n, same := int64(0), false
	columns := []any{&part, &r.Pos, &r.Mark, &r.Prev, &event, &r.Key, &r.Envelope, &r.Personal, &id, &found, &same, &xact, &xmin}
	_, err = pgx.ForEachRow(rows, columns, func() error {
		r.ID = uuid.UUID(event.Bytes)
		moved[part] = append(moved[part], r)
		highest = max(highest, id)
		n++
		return nil
	})
	full := n > 0 && (found == moveCount || n < found)
	if err == nil && n > 0 {
		if !same {
			l.watermark = watermark{}
		}
		l.last = place{part, r.Position}
		l.watermark.moved(highest, full, xact, xmin)
	}
	return moved, full, err
}

// errStandby is returned by a standby server: it may lack events that the primary has.
var errStandby = database.ErrUnavailable.With(errors.New("this server is a standby"))

// askLog looks each place up by its key. The place before the oldest event is
// known by that event's prev_mark.
const askLog = `
SELECT p.part, p.layout, p.closed, p.last_pos, p.last_mark, coalesce(f.pos - 1, p.last_pos), coalesce(f.prev_mark, p.last_mark),
	p.stream_key, k.pos, k.mark, coalesce(k.n, 0), pg_is_in_recovery()
FROM event_parts p
LEFT JOIN LATERAL (SELECT pos, prev_mark FROM event_log l WHERE l.part = p.part ORDER BY pos LIMIT 1) f ON true
LEFT JOIN LATERAL (
	SELECT q.pos, q.mark, count(*) OVER () AS n FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) q (part, pos, mark)
	WHERE q.part = p.part AND (
		(q.pos = coalesce(f.pos - 1, p.last_pos) AND q.mark = coalesce(f.prev_mark, p.last_mark))
		OR EXISTS (SELECT 1 FROM event_log l WHERE l.part = q.part AND l.pos = q.pos AND l.mark = q.mark))
	ORDER BY q.pos DESC LIMIT 1) k ON true
ORDER BY p.layout, p.part`

// Ask implements [relay.Database].
func (l *Log) Ask(ctx context.Context, questions []events.Question) ([]events.Part, error) {
	parts, positions, marks := []int64{}, []int64{}, []int64{}
	asked := map[int64]int64{}
	for _, q := range questions {
		asked[q.Part] += int64(len(q.Places))
		for _, at := range q.Places {
			parts, positions, marks = append(parts, q.Part), append(positions, at.Pos), append(marks, int64(at.Mark))
		}
	}
	rows, err := l.pool.Query(ctx, askLog, parts, positions, marks)
	if err != nil {
		return nil, wrap("ask event log", err)
	}
	answer, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a events.Part, err error) {
		var pos, mark *int64
		var known int64
		var standby bool
		err = row.Scan(&a.Number, &a.Layout, &a.Closed, &a.Head.Pos, &a.Head.Mark, &a.Base.Pos, &a.Base.Mark,
			&a.StreamKey, &pos, &mark, &known, &standby)
		a.KnowsAll = known == asked[a.Number]
		if err == nil && standby {
			err = errStandby
		}
		if pos != nil {
			a.HasKnown, a.Known = true, events.Position{Pos: *pos, Mark: events.Mark(*mark)}
		}
		return a, err
	})
	if err != nil {
		return nil, wrap("ask event log", err)
	}
	return answer, nil
}

// One statement, and so one moment: a head that is newer than the rows would read
// as rows that were deleted. A row that is to be redacted reads as if it were.
const readPage = `
SELECT p.last_pos, p.last_mark, pg_is_in_recovery(), l.pos, l.mark, l.prev_mark, l.event_id, l.key, l.envelope, l.personal,
	l.personal AND EXISTS (SELECT FROM event_log e JOIN event_parts ep ON ep.part = e.part
		WHERE e.erases AND e.key = l.key AND (e.part = p.part AND e.pos > l.pos OR ep.layout > p.layout))
FROM event_parts p LEFT JOIN LATERAL (
	SELECT * FROM (
		SELECT pos, mark, prev_mark, event_id, key, envelope, personal,
			sum(octet_length(envelope)) OVER (ORDER BY pos) AS bytes, row_number() OVER (ORDER BY pos) AS n
		FROM (SELECT * FROM event_log WHERE part = $1 AND pos > $2 ORDER BY pos LIMIT $3) oldest) sized
	WHERE bytes <= $4 OR n = 1) l ON true
WHERE p.part = $1 ORDER BY l.pos`

// Page implements [relay.Database].
func (l *Log) Page(ctx context.Context, part, pos int64) (events.Page, error) {
	page := events.Page{Records: []events.Record{}}
	rows, err := l.pool.Query(ctx, readPage, part, pos, events.PageCount, events.PageBytes)
	if err != nil {
		return page, wrap("read event log", err)
	}
	var standby bool
	var at, mark, prev *int64
	var event pgtype.UUID
	var key, envelope *string
	var personal, erased *bool
	columns := []any{&page.Head.Pos, &page.Head.Mark, &standby, &at, &mark, &prev, &event, &key, &envelope, &personal, &erased}
	_, err = pgx.ForEachRow(rows, columns, func() error {
		page.Known = true
		if standby {
			return errStandby
		}
		if at != nil {
			record := events.Record{
				Position: events.Position{Pos: *at, Mark: events.Mark(*mark)}, Prev: events.Mark(*prev),
				ID: uuid.UUID(event.Bytes), Key: *key, Envelope: *envelope, Personal: *personal,
			}
			if *erased {
				record.Envelope, record.Personal = record.Redact(), false
			}
			page.Records = append(page.Records, record)
		}
		return nil
	})
	if err != nil {
		return page, wrap("read event log", err)
	}
	return page, nil
}

// Backlog implements [relay.Database].
func (l *Log) Backlog(ctx context.Context) (int64, time.Duration, error) {
	var n int64
	var seconds float64
	err := l.pool.QueryRow(ctx, `
SELECT (SELECT count(*) FROM (SELECT 1 FROM event_outbox LIMIT 100000) o),
	coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at) FROM event_outbox ORDER BY id LIMIT 1), 0)`).
		Scan(&n, &seconds)
	if err != nil {
		return 0, 0, wrap("count outbox", err)
	}
	return n, time.Duration(max(seconds, 0) * float64(time.Second)), nil
}

// Trim implements [relay.Database].
func (l *Log) Trim(ctx context.Context, part, n int64, age time.Duration) (int64, error) {
	tag, err := l.pool.Exec(ctx, `
WITH oldest AS (SELECT pos, moved_at FROM event_log WHERE part = $1 ORDER BY pos LIMIT $2)
DELETE FROM event_log WHERE part = $1 AND pos < coalesce(
	(SELECT min(pos) FROM oldest WHERE moved_at >= clock_timestamp() - $3 * interval '1 second'),
	(SELECT max(pos) + 1 FROM oldest))`, part, n, age.Seconds())
	if err != nil {
		return 0, wrap("trim event log", err)
	}
	return tag.RowsAffected(), nil
}

// ErrOldRows is returned by Repartition while the outbox has rows of release 0.0.
var ErrOldRows = errors.New("events of an older release wait in the outbox")

// Repartition divides the log into count parts from the next event on. It
// returns the number of the new layout.
func (l *Log) Repartition(ctx context.Context, count int) (layout int64, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		for _, query := range []string{settings, `SELECT 1 FROM event_source FOR UPDATE`} {
			if _, err := tx.Exec(ctx, query); err != nil {
				return err
			}
		}
		var old bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM event_outbox WHERE hash IS NULL)`).Scan(&old); err != nil {
			return err
		}
		if old {
			return ErrOldRows
		}
		if _, err := tx.Exec(ctx, `UPDATE event_parts SET closed = true WHERE NOT closed`); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
UPDATE event_source SET layout = layout + 1, base = (random() * 4611686018427387904)::bigint, count = $1
RETURNING layout`, count).Scan(&layout)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
INSERT INTO event_parts (part, layout) SELECT base + n, layout FROM event_source, generate_series(0, count - 1) n`)
		return err
	})
	if err != nil {
		return 0, wrap("change number of parts", err)
	}
	return layout, nil
}

// Seek returns the position in a part after which the events since t are. It assumes
// that later events were placed later: if a clock was set back, it may be off by the
// events placed meanwhile.
func (l *Log) Seek(ctx context.Context, part int64, t time.Time) (int64, error) {
	var low, high int64
	err := l.pool.QueryRow(ctx, `
SELECT coalesce((SELECT pos - 1 FROM event_log WHERE part = $1 ORDER BY pos LIMIT 1), last_pos), last_pos
FROM event_parts WHERE part = $1`, part).Scan(&low, &high)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	for err == nil && low < high { // events up to low are older
		middle, older := low+(high-low+1)/2, false
		err = l.pool.QueryRow(ctx, `SELECT moved_at < $3 FROM event_log WHERE part = $1 AND pos = $2`, part, middle, t).Scan(&older)
		if errors.Is(err, pgx.ErrNoRows) { // deleted meanwhile
			older, err = true, nil
		}
		if older {
			low = middle
		} else {
			high = middle - 1
		}
	}
	if err != nil {
		return 0, wrap("seek in event log", err)
	}
	return low, nil
}
