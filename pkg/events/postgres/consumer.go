package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// Consumer is one consumer's offsets, inbox and parked events, beside the rows that
// its handlers write: a [consumer.Database].
type Consumer struct {
	db   *database.DB
	name string
}

// NewConsumer returns the tables of the consumer name in db, whose pool should not
// be the one that serves requests.
func NewConsumer(db *database.DB, name string) *Consumer { return &Consumer{db, name} }

const beat = `
WITH gone AS (
	DELETE FROM event_instances
	WHERE consumer = $1 AND abs(extract(epoch FROM seen_at - clock_timestamp())) > 3600
)
INSERT INTO event_instances (consumer, instance, seen_at) VALUES ($1, $2, clock_timestamp())
ON CONFLICT (consumer, instance) DO UPDATE SET seen_at = excluded.seen_at`

// One statement, so that an idle consumer costs little. A key whose next attempt
// is further ahead than any can have been set is due.
const readGroup = `
SELECT 'live', '', '', instance, 0, 0, 0 FROM event_instances
WHERE consumer = $1 AND abs(extract(epoch FROM seen_at - clock_timestamp())) <= $2
UNION ALL SELECT 'paused', '', '', 0, 0, 0, 0 FROM event_consumers WHERE consumer = $1 AND paused
UNION ALL SELECT 'type', source, event, version, 0, 0, 0 FROM event_types WHERE consumer = $1
UNION ALL SELECT 'due', '', '', min(CASE WHEN next_at > clock_timestamp() + interval '15 minutes' THEN 0
	ELSE greatest(extract(epoch FROM next_at - clock_timestamp()) * 1000, 0) END)::bigint, 0, 0, 0
	FROM event_keys WHERE consumer = $1 AND state <> 'dead' HAVING count(*) > 0
UNION ALL SELECT 'offset', source, '', part, pos, mark, owner FROM event_offsets WHERE consumer = $1
ORDER BY 1, 2, 4`

// Beat implements [consumer.Database].
func (c *Consumer) Beat(ctx context.Context, me int64) (consumer.Group, error) {
	g := consumer.Group{Declared: map[events.TypeName]int{}, Due: -1}
	batch := &pgx.Batch{}
	batch.Queue(beat, c.name, me)
	batch.Queue(readGroup, c.name, consumer.LiveTime.Seconds())
	results := c.db.Pool().SendBatch(ctx, batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return g, fmt.Errorf("heartbeat: %w", err)
	}
	rows, err := results.Query()
	if err != nil {
		return g, fmt.Errorf("read consumer group: %w", err)
	}
	var kind, source, event string
	var n1, n2, n3, n4 int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &source, &event, &n1, &n2, &n3, &n4}, func() error {
		switch kind {
		case "live":
			g.Live = append(g.Live, n1)
		case "paused":
			g.Paused = true
		case "type":
			g.Declared[events.TypeName{Source: source, Event: event}] = int(n1)
		case "due":
			g.Due = time.Duration(n1) * time.Millisecond
		case "offset":
			g.Offsets = append(g.Offsets, consumer.Offset{
				Source: source, Part: n1, Position: events.Position{Pos: n2, Mark: events.Mark(n3)}, Owner: n4,
			})
		}
		return nil
	})
	if err == nil {
		err = results.Close()
	}
	if err != nil {
		return g, fmt.Errorf("read consumer group: %w", err)
	}
	return g, nil
}

// exec runs a single statement as a transaction.
func (c *Consumer) exec(ctx context.Context, doing, query string, args ...any) (int64, error) {
	tag, err := c.db.Pool().Exec(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return tag.RowsAffected(), nil
}

// Leave implements [consumer.Database].
func (c *Consumer) Leave(ctx context.Context, me int64) error {
	_, err := c.exec(ctx, "leave consumer group", `
WITH me AS (DELETE FROM event_instances WHERE consumer = $1 AND instance = $2)
UPDATE event_offsets SET owner = 0 WHERE consumer = $1 AND owner = $2`, c.name, me)
	return err
}

// AddOffsets implements [consumer.Database].
func (c *Consumer) AddOffsets(ctx context.Context, source string, parts []int64) error {
	_, err := c.exec(ctx, "add offsets", `
INSERT INTO event_offsets (consumer, source, part) SELECT $1, $2, unnest($3::bigint[])
ON CONFLICT DO NOTHING`, c.name, source, parts)
	return err
}

// Own implements [consumer.Database].
func (c *Consumer) Own(ctx context.Context, o consumer.Offset, owner int64) (consumer.Offset, bool, error) {
	row := o
	row.Owner = owner
	err := c.db.Pool().QueryRow(ctx, `
UPDATE event_offsets SET owner = $5 WHERE consumer = $1 AND source = $2 AND part = $3 AND owner = $4
RETURNING pos, mark`, c.name, o.Source, o.Part, o.Owner, owner).Scan(&row.Pos, &row.Mark)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("change owner of offset: %w", err)
	}
	return row, true, nil
}

// GoBack implements [consumer.Database].
func (c *Consumer) GoBack(ctx context.Context, o consumer.Offset, to events.Position) (bool, error) {
	n, err := c.exec(ctx, "set offset back", `
WITH back AS (
	UPDATE event_offsets SET pos = $6, mark = $7
	WHERE consumer = $1 AND source = $2 AND part = $3 AND pos = $4 AND mark = $5 AND owner = $8 RETURNING 1
), placeless AS (
	UPDATE event_inbox SET pos = $6, mark = 0
	WHERE consumer = $1 AND source = $2 AND part = $3 AND pos > $6 AND EXISTS (SELECT 1 FROM back)
)
SELECT * FROM back`, c.name, o.Source, o.Part, o.Pos, o.Mark, to.Pos, to.Mark, o.Owner)
	return n == 1, err
}

// Older implements [consumer.Database].
func (c *Consumer) Older(ctx context.Context, source string, part, pos int64) ([]events.Position, error) {
	const place = `SELECT pos, mark FROM event_inbox WHERE consumer = $1 AND source = $2 AND part = $3 AND mark <> 0`
	rows, err := c.db.Pool().Query(ctx, `
SELECT i.pos, i.mark FROM generate_series(0, 30) k
CROSS JOIN LATERAL (`+place+` AND pos <= $4 - (1::bigint << k) ORDER BY pos DESC LIMIT 1) i
UNION (`+place+` AND pos < $4 ORDER BY pos LIMIT 1) ORDER BY pos`, c.name, source, part, pos)
	if err != nil {
		return nil, fmt.Errorf("read places from the inbox: %w", err)
	}
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[events.Position])
	if err != nil {
		return nil, fmt.Errorf("read places from the inbox: %w", err)
	}
	return places, nil
}

// Purge implements [consumer.Database].
func (c *Consumer) Purge(ctx context.Context, source string, part, pos int64) (bool, error) {
	const limit = 5000
	n, err := c.exec(ctx, "purge inbox", `
DELETE FROM event_inbox WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM event_inbox WHERE consumer = $1 AND source = $2 AND part = $3 AND pos < $4 ORDER BY pos LIMIT $5))`,
		c.name, source, part, pos, limit)
	return n == limit, err
}

// CountKeys implements [consumer.Database].
func (c *Consumer) CountKeys(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	var state string
	var n int64
	rows, err := c.db.Pool().Query(ctx, `SELECT state, count(*) FROM event_keys WHERE consumer = $1 GROUP BY state`, c.name)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
			counts[state] = n
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("count parked keys: %w", err)
	}
	return counts, nil
}

// DropKey implements [consumer.Database]. The foreign key decides the race with a
// transaction that parks another event of the key.
func (c *Consumer) DropKey(ctx context.Context, source, key string) error {
	_, err := c.exec(ctx, "delete key without parked events", `
DELETE FROM event_keys k WHERE consumer = $1 AND source = $2 AND key = $3 AND NOT EXISTS (
	SELECT 1 FROM event_parked p WHERE p.consumer = k.consumer AND p.source = k.source AND p.key = k.key)`, c.name, source, key)
	if database.IsForeignKey(err) {
		return nil
	}
	return err
}

// Declare records which event types this release handles, in place of those of
// the release before.
func (c *Consumer) Declare(ctx context.Context, s *events.Subscriptions) error {
	return pgx.BeginFunc(ctx, c.db.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM event_types WHERE consumer = $1`, c.name); err != nil {
			return fmt.Errorf("declare event types: %w", err)
		}
		for name, sub := range s.All() {
			_, err := tx.Exec(ctx, `INSERT INTO event_types (consumer, source, event, version) VALUES ($1, $2, $3, $4)`,
				c.name, name.Source, name.Event, sub.Version)
			if err != nil {
				return fmt.Errorf("declare event types: %w", err)
			}
		}
		return nil
	})
}

// Transact implements [consumer.Database].
func (c *Consumer) Transact(ctx context.Context, f func(consumer.Tx) error) error {
	return database.Transaction(ctx, c.db.Gorm, func(tx *gorm.DB) error {
		return f(&transaction{ctx, tx, tx.Statement.ConnPool, c.name})
	})
}

// transaction implements [consumer.Tx].
type transaction struct {
	ctx  context.Context
	gorm *gorm.DB
	conn gorm.ConnPool
	name string
}

// rows calls each for every row of a query.
func (t *transaction) rows(doing, query string, args []any, each func(*sql.Rows) error) error {
	rows, err := t.conn.QueryContext(t.ctx, query, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Offsets implements [consumer.Tx].
func (t *transaction) Offsets(source string) (map[int64]events.Position, error) {
	offsets := map[int64]events.Position{}
	err := t.rows("read offsets", `SELECT part, pos, mark FROM event_offsets WHERE consumer = $1 AND source = $2`,
		[]any{t.name, source}, func(rows *sql.Rows) error {
			var part int64
			var at events.Position
			err := rows.Scan(&part, &at.Pos, &at.Mark)
			offsets[part] = at
			return err
		})
	return offsets, err
}

// Lock implements [consumer.Tx]. The inbox and the keys are read as of before the lock was
// had, which is why they count only with the offset.
func (t *transaction) Lock(source string, part int64, ids []uuid.UUID, keys []string) (consumer.Known, error) {
	// A restored database may lack the row: it has no owner until it is added again.
	known := consumer.Known{
		Offset: consumer.Offset{Source: source, Part: part}, Seen: map[uuid.UUID]bool{}, Waits: map[string]bool{},
	}
	// Subqueries, since a plan from when the inbox was small would read all of it.
	err := t.rows("lock offset", `
WITH own AS (SELECT pos, mark, owner FROM event_offsets WHERE consumer = $1 AND source = $2 AND part = $3 FOR UPDATE)
SELECT pos, mark, owner, NULL, NULL FROM own
UNION ALL SELECT 0, 0, 0, e.id::text, NULL FROM unnest($4::uuid[]) e (id)
WHERE (SELECT true FROM event_inbox i WHERE i.consumer = $1 AND i.event_id = e.id)
UNION ALL SELECT 0, 0, 0, NULL, e.key FROM unnest($5::text[]) e (key)
WHERE (SELECT true FROM event_keys k WHERE k.consumer = $1 AND k.source = $2 AND k.key = e.key)`,
		[]any{t.name, source, part, texts(ids), keys}, func(rows *sql.Rows) error {
			var row consumer.Offset
			var id uuid.NullUUID
			var key sql.NullString
			err := rows.Scan(&row.Pos, &row.Mark, &row.Owner, &id, &key)
			switch {
			case id.Valid:
				known.Seen[id.UUID] = true
			case key.Valid:
				known.Waits[key.String] = true
			default:
				known.Offset.Position, known.Offset.Owner = row.Position, row.Owner
			}
			return err
		})
	return known, err
}

func texts(ids []uuid.UUID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return list
}

// Take implements [consumer.Tx].
func (t *transaction) Take(o consumer.Offset, to events.Position, taken []consumer.Taken) (fresh int, err error) {
	last := make(map[uuid.UUID]int, len(taken)) // an event may have two places: the later counts
	for i, e := range taken {
		last[e.ID] = i
	}
	var ids []uuid.UUID
	var positions, marks []int64
	var passed []bool
	for i, e := range taken {
		if last[e.ID] == i {
			ids, passed = append(ids, e.ID), append(passed, e.Passed)
			positions, marks = append(positions, e.Pos), append(marks, int64(e.Mark))
		}
	}
	err = t.conn.QueryRowContext(t.ctx, `
WITH moved AS (
	UPDATE event_offsets SET pos = $4, mark = $5 WHERE consumer = $1 AND source = $2 AND part = $3
), taken AS (
	INSERT INTO event_inbox (consumer, event_id, source, part, pos, mark, passed)
	SELECT $1, id, $2, $3, pos, mark, passed
	FROM unnest($6::uuid[], $7::bigint[], $8::bigint[], $9::boolean[]) e (id, pos, mark, passed)
	ON CONFLICT (consumer, event_id) DO UPDATE
	SET source = excluded.source, part = excluded.part, pos = excluded.pos, mark = excluded.mark
	RETURNING xmax = 0 AS fresh
)
SELECT count(*) FILTER (WHERE fresh) FROM taken`,
		t.name, o.Source, o.Part, to.Pos, int64(to.Mark), texts(ids), positions, marks, passed).Scan(&fresh)
	if err != nil {
		return 0, fmt.Errorf("move offset: %w", err)
	}
	return fresh, nil
}

// Savepoint implements [consumer.Tx].
func (t *transaction) Savepoint(f func() error) (handlerErr, err error) {
	const name = "handler"
	if err := t.gorm.SavePoint(name).Error; err != nil {
		return nil, fmt.Errorf("set savepoint: %w", err)
	}
	if handlerErr = f(); handlerErr == nil {
		if _, err := t.conn.ExecContext(t.ctx, "RELEASE SAVEPOINT "+name); err != nil {
			// A statement of the handler had failed, and it returned nil all the same.
			handlerErr = fmt.Errorf("handler's transaction had failed: %w", err)
		}
	}
	if handlerErr != nil {
		if err := t.gorm.RollbackTo(name).Error; err != nil {
			return handlerErr, fmt.Errorf("roll back to savepoint: %w", errors.Join(err, handlerErr))
		}
	}
	return handlerErr, nil
}

// Handle implements [consumer.Tx].
func (t *transaction) Handle(ctx context.Context, s *events.Subscription, e events.Envelope) error {
	return s.Handle(ctx, t.gorm.WithContext(ctx), e)
}
