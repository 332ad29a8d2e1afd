package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/tracing"
)

// What an operator can get wrong.
var (
	ErrNotParked     = fault.New(fault.NotFound, "event_not_parked", "No such parked event")
	ErrNotSubscribed = fault.New(fault.Unprocessable, "not_subscribed", "The consumer does not subscribe to this service")
	ErrNoSuchPart    = fault.New(fault.Unprocessable, "no_such_partition", "No such partition")
)

// Parked is an event set aside by a consumer.
type Parked struct {
	Number   int64     `json:"number"` // in the order of parking
	ID       uuid.UUID `json:"id"`
	Stream   string    `json:"stream"`
	Entry    string    `json:"entry"` // its id in the stream
	Key      string    `json:"key"`
	Envelope string    `json:"envelope"`
	State    string    `json:"state"` // waiting, dead or discarded
	Attempts int       `json:"attempts"`
	TraceID  string    `json:"traceId,omitempty"` // the publisher's, as in its logs and answers
	NextAt   time.Time `json:"nextAt"`            // of the next attempt, while waiting
	Error    string    `json:"error"`             // of the last attempt, or the reason of the discard
	ParkedAt time.Time `json:"parkedAt"`
}

// Parked lists parked events in a state ("" for all), behind a number.
func (c *Consumer) Parked(ctx context.Context, state string, after int64, limit int) ([]Parked, error) {
	rows, err := c.db.Gorm.WithContext(ctx).Statement.ConnPool.QueryContext(ctx, `
SELECT id, event_id, stream, gen, pos, key, envelope, state, attempts, next_at, last_error, parked_at
FROM event_parked WHERE consumer = $1 AND ($2 = '' OR state = $2) AND id > $3 ORDER BY id LIMIT $4`,
		c.name, state, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list parked events: %w", err)
	}
	defer rows.Close()
	list := []Parked{}
	for rows.Next() {
		var p Parked
		var at position
		err := rows.Scan(&p.Number, &p.ID, &p.Stream, &at.gen, &at.pos, &p.Key, &p.Envelope, &p.State, &p.Attempts, &p.NextAt, &p.Error, &p.ParkedAt)
		if err != nil {
			return nil, fmt.Errorf("list parked events: %w", err)
		}
		if e, err := ParseEnvelope([]byte(p.Envelope)); err == nil {
			origin := tracing.FromCarrier(ctx, e.Traceparent, e.Tracestate)
			p.TraceID = tracing.TraceID(trace.ContextWithSpanContext(ctx, origin))
		}
		p.Entry, p.NextAt, p.ParkedAt = at.String(), p.NextAt.UTC(), p.ParkedAt.UTC()
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list parked events: %w", err)
	}
	return list, nil
}

// Selection says which parked events are meant: those with all that is set. The
// zero Selection means all.
type Selection struct {
	ID    uuid.UUID // one event
	Event string    // events of one type
}

// Redrive gives dead and waiting events their first attempt again, now, and
// says how many. What waits behind them follows in order.
func (c *Consumer) Redrive(ctx context.Context, s Selection) (int64, error) {
	n, err := c.changeParked(ctx, s, `state = 'waiting', attempts = 0, next_at = now()`)
	if err == nil {
		c.deps.Log.InfoContext(ctx, "events redriven", "count", n, "event_id", s.ID.String(), "event", s.Event)
	}
	return n, err
}

// Discard gives parked events up: their effect will not take place, and what
// waits behind them goes on. The reason stays with them as long as the log
// keeps events. It says how many were discarded.
func (c *Consumer) Discard(ctx context.Context, s Selection, reason string) (int64, error) {
	n, err := c.changeParked(ctx, s, `state = 'discarded', last_error = $4, next_at = now()`, storable(reason))
	if err == nil {
		c.deps.Log.WarnContext(ctx, "events discarded", "count", n, "event_id", s.ID.String(), "event", s.Event, "reason", reason)
	}
	return n, err
}

func (c *Consumer) changeParked(ctx context.Context, s Selection, change string, more ...any) (int64, error) {
	id := ""
	if s.ID != uuid.Nil {
		id = s.ID.String()
	}
	args := append([]any{c.name, id, s.Event}, more...)
	result, err := c.db.Gorm.Statement.ConnPool.ExecContext(ctx, `
UPDATE event_parked SET `+change+` WHERE consumer = $1 AND state <> 'discarded'
	AND ($2 = '' OR event_id::text = $2)
	AND ($3 = '' OR strpos(envelope, '"event":"' || $3 || '"') > 0)`, args...)
	if err != nil {
		return 0, fmt.Errorf("change parked events: %w", err)
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 && id != "" {
		err = ErrNotParked
	}
	return n, err
}

// From says where a replay begins: behind a position, or at a time.
type From struct {
	Position int64
	Since    time.Time
}

// Replay has events of the service source handled again, from a point of its
// log up to where the consumer stands now, in one partition or in all (part
// below 0). Handlers run although the inbox knows the events: what they did must
// have been undone before, or bear repetition. Parked events of that range are
// delivered anew too. It says how many events will come.
func (c *Consumer) Replay(ctx context.Context, source string, part int, from From) (int64, error) {
	switch {
	case !slices.Contains(c.sources, source):
		return 0, ErrNotSubscribed
	case part >= c.cfg.Partitions:
		return 0, ErrNoSuchPart
	}
	var total int64
	for p := range c.cfg.Partitions {
		if part >= 0 && p != part {
			continue
		}
		n, err := c.replay(ctx, feed{source, p}, from)
		if err != nil {
			return total, err
		}
		total += n
	}
	c.deps.Log.WarnContext(ctx, "replay begins", "source", source, "partition", part, "events", total)
	return total, nil
}

func (c *Consumer) replay(ctx context.Context, f feed, from From) (int64, error) {
	position := from.Position
	if !from.Since.IsZero() {
		var err error
		if position, err = c.history.Seek(ctx, f.source, f.part, from.Since); err != nil {
			return 0, fmt.Errorf("ask %s for the position: %w", f.source, err)
		}
	}
	// One statement: the offset goes back together with what was parked.
	var n int64
	err := c.db.Gorm.Statement.ConnPool.QueryRowContext(ctx, `
WITH back AS (
	UPDATE event_offsets o SET pos = $3, replay_to = greatest(o.replay_to, o.pos)
	FROM event_offsets old
	WHERE o.consumer = $1 AND o.stream = $2 AND o.pos > $3 AND old.consumer = o.consumer AND old.stream = o.stream
	RETURNING old.pos - $3 AS n
), unparked AS (
	DELETE FROM event_parked WHERE consumer = $1 AND stream = $2 AND pos > $3 AND EXISTS (SELECT 1 FROM back)
)
SELECT coalesce((SELECT n FROM back), 0)`, c.name, f.stream(), max(position, 0)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("set offset back: %w", err)
	}
	return n, nil
}

// Pause stops the consumer in all instances of the service, within about a
// second, until Resume. What is published meanwhile waits.
func (c *Consumer) Pause(ctx context.Context) error { return c.setPaused(ctx, true) }

// Resume ends a Pause.
func (c *Consumer) Resume(ctx context.Context) error { return c.setPaused(ctx, false) }

func (c *Consumer) setPaused(ctx context.Context, paused bool) error {
	_, err := c.db.Gorm.Statement.ConnPool.ExecContext(ctx, `
INSERT INTO event_consumers (consumer, paused) VALUES ($1, $2)
ON CONFLICT (consumer) DO UPDATE SET paused = excluded.paused`, c.name, paused)
	if err != nil {
		return fmt.Errorf("pause or resume: %w", err)
	}
	c.deps.Log.WarnContext(ctx, "consumer paused or resumed", "paused", paused)
	return nil
}

// Status is where a consumer stands.
type Status struct {
	Consumer string            `json:"consumer"`
	Paused   bool              `json:"paused"`
	Offsets  map[string]string `json:"offsets"` // last entry handled, by stream
	Parked   map[string]int64  `json:"parked"`  // events set aside, by state
}

// Status tells where the consumer stands, in all its instances.
func (c *Consumer) Status(ctx context.Context) (Status, error) {
	s := Status{Consumer: c.name, Offsets: map[string]string{}, Parked: map[string]int64{}}
	pool := c.db.Gorm.Statement.ConnPool
	err := pool.QueryRowContext(ctx,
		`SELECT coalesce((SELECT paused FROM event_consumers WHERE consumer = $1), false)`, c.name).Scan(&s.Paused)
	if err != nil {
		return s, fmt.Errorf("read consumer's state: %w", err)
	}
	return s, errors.Join(
		c.each(ctx, `SELECT stream, gen || '-' || pos FROM event_offsets WHERE consumer = $1`, func(scan scanner) error {
			var stream, at string
			err := scan(&stream, &at)
			s.Offsets[stream] = at
			return err
		}),
		c.each(ctx, `SELECT state, count(*) FROM event_parked WHERE consumer = $1 GROUP BY state`, func(scan scanner) error {
			var state string
			var n int64
			err := scan(&state, &n)
			s.Parked[state] = n
			return err
		}))
}

type scanner func(dest ...any) error

func (c *Consumer) each(ctx context.Context, query string, row func(scanner) error) error {
	rows, err := c.db.Gorm.Statement.ConnPool.QueryContext(ctx, query, c.name)
	if err != nil {
		return fmt.Errorf("read consumer's state: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return fmt.Errorf("read consumer's state: %w", err)
		}
	}
	return rows.Err()
}
