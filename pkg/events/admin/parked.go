package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/tracing"
)

// Parked is an event that waits in a consumer's database.
type Parked struct {
	Number   int64     `json:"number"` // in the order of parking
	ID       uuid.UUID `json:"id"`
	Service  string    `json:"service"`
	Key      string    `json:"key"`
	Event    string    `json:"event"` // the type's name, "" if the envelope cannot be read
	Envelope string    `json:"envelope"`
	// State is waiting, ahead (for a release that knows its type), dead, or behind:
	// an earlier event of its key waits.
	State    string    `json:"state"`
	Attempts int       `json:"attempts"`
	TraceID  string    `json:"traceId,omitempty"` // the publisher's, as in its logs and answers
	NextAt   time.Time `json:"nextAt,omitzero"`   // of the next attempt, while waiting
	Error    string    `json:"error"`             // of the last attempt
	ParkedAt time.Time `json:"parkedAt"`
}

// States of parked events. See [Parked].
var States = []string{"waiting", "ahead", "dead", "behind"}

// Parked lists parked events in a state ("" for all), behind a number.
func (o *Operator) Parked(ctx context.Context, state string, after int64, limit int) ([]Parked, error) {
	list := []Parked{}
	err := o.DB.Gorm.WithContext(ctx).Raw(`
SELECT * FROM (
	SELECT p.id AS number, p.event_id AS id, p.source AS service, p.key, p.event, p.envelope, p.parked_at,
		CASE WHEN first THEN k.state ELSE 'behind' END AS state, CASE WHEN first THEN k.attempts ELSE 0 END AS attempts,
		CASE WHEN first THEN k.error ELSE '' END AS error, CASE WHEN first AND k.state <> 'dead' THEN k.next_at END AS next_at
	FROM event_parked p JOIN event_keys k USING (consumer, source, key)
	CROSS JOIN LATERAL (SELECT NOT EXISTS (
		SELECT 1 FROM event_parked e WHERE e.consumer = p.consumer AND e.source = p.source AND e.key = p.key AND e.id < p.id) AS first) f
	WHERE consumer = ? AND p.id > ?) parked
WHERE ? IN ('', state) ORDER BY number LIMIT ?`, o.Name, after, state, limit).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("list parked events: %w", err)
	}
	for i := range list {
		p := &list[i]
		if e, err := events.ParseEnvelope([]byte(p.Envelope)); err == nil {
			origin := tracing.FromCarrier(ctx, e.Traceparent, e.Tracestate)
			p.TraceID = tracing.TraceID(trace.ContextWithSpanContext(ctx, origin))
		}
		p.NextAt, p.ParkedAt = p.NextAt.UTC(), p.ParkedAt.UTC()
	}
	return list, nil
}

// Selection selects parked events: one, those of a type, or all.
// Exactly one of its fields must be set.
type Selection struct {
	ID    *uuid.UUID
	Event string
	All   bool
}

// where returns the condition on a row of event_parked.
func (s Selection) where() (condition string, arg any, err error) {
	switch {
	case s.ID != nil && s.Event == "" && !s.All:
		return "p.event_id = ?", *s.ID, nil
	case s.ID == nil && s.Event != "" && !s.All:
		return "p.event = ?", s.Event, nil
	case s.ID == nil && s.Event == "" && s.All:
		return "?", true, nil
	}
	return "", nil, ErrNothingSelected
}

// Redrive makes the keys of the selected events due now, with fresh attempts, and
// returns the number of keys. ErrNotParked means that the selected event is not parked.
func (o *Operator) Redrive(ctx context.Context, s Selection) (int64, error) {
	condition, arg, err := s.where()
	if err != nil {
		return 0, err
	}
	var n int64
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		done := tx.Exec(`
UPDATE event_keys k SET state = 'waiting', attempts = 0, since = clock_timestamp(), next_at = clock_timestamp()
WHERE consumer = ? AND EXISTS (
	SELECT 1 FROM event_parked p WHERE p.consumer = k.consumer AND p.source = k.source AND p.key = k.key
	AND `+condition+`)`, o.Name, arg)
		n = done.RowsAffected
		return done.Error
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("redrive parked events: %w", err)
	case n == 0 && s.ID != nil:
		return 0, ErrNotParked
	}
	o.Log.InfoContext(ctx, "parked events redriven", "keys", n, "selection", s.String())
	return n, nil
}

// String describes the selection for the log.
func (s Selection) String() string {
	if s.ID != nil {
		return s.ID.String()
	}
	if s.Event != "" {
		return s.Event
	}
	return "all"
}

// Discard deletes parked events: they will have no effect, and the events behind them
// continue. It waits for a handler that is trying one. It returns the number of events,
// and logs their ids and the reason. ErrNotParked means that the selected event is not
// parked.
func (o *Operator) Discard(ctx context.Context, s Selection, reason string) (int64, error) {
	condition, arg, err := s.where()
	if err != nil {
		return 0, err
	}
	var gone []uuid.UUID
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		// Lock the keys first, so that nothing else changes their parked events.
		keys, err := lockKeys(tx, o.Name, condition, arg)
		if err == nil {
			gone, err = keys.remove(tx, o.Name, condition, arg)
		}
		return err
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("discard parked events: %w", err)
	case len(gone) == 0 && s.ID != nil:
		return 0, ErrNotParked
	}
	for _, id := range gone {
		o.Log.WarnContext(ctx, "parked event discarded", "event_id", id.String(), "reason", reason)
	}
	return int64(len(gone)), nil
}

// lockedKeys are rows of event_keys that a transaction has locked.
type lockedKeys struct {
	names  [][]any // source and key
	firsts [][]any // and the number of the first parked event
}

const firstParked = `(SELECT min(id) FROM event_parked f WHERE f.consumer = k.consumer AND f.source = k.source AND f.key = k.key)`

// lockKeys locks the keys that have a parked event which satisfies condition.
func lockKeys(tx *gorm.DB, consumer, condition string, args ...any) (lockedKeys, error) {
	var rows []struct {
		Source, Key string
		First       int64
	}
	err := tx.Raw(`
SELECT source, key, `+firstParked+` AS first FROM event_keys k WHERE consumer = ? AND EXISTS (
	SELECT 1 FROM event_parked p WHERE p.consumer = k.consumer AND p.source = k.source AND p.key = k.key AND `+condition+`)
ORDER BY source, key FOR UPDATE`, append([]any{consumer}, args...)...).Scan(&rows).Error
	var keys lockedKeys
	for _, r := range rows {
		keys.names = append(keys.names, []any{r.Source, r.Key})
		keys.firsts = append(keys.firsts, []any{r.Source, r.Key, r.First})
	}
	return keys, err
}

// remove deletes the parked events of the keys that satisfy condition, and returns
// their ids. Keys whose first event changed are due at once; keys without parked events
// are deleted.
func (k lockedKeys) remove(tx *gorm.DB, consumer, condition string, args ...any) (gone []uuid.UUID, err error) {
	if len(k.names) == 0 {
		return nil, nil
	}
	err = tx.Raw(`DELETE FROM event_parked p WHERE consumer = ? AND (source, key) IN ? AND `+condition+` RETURNING event_id`,
		append([]any{consumer, k.names}, args...)...).Scan(&gone).Error
	if err != nil {
		return nil, err
	}
	err = tx.Exec(`DELETE FROM event_keys k WHERE consumer = ? AND (source, key) IN ? AND `+firstParked+` IS NULL`,
		consumer, k.names).Error
	if err != nil {
		return nil, err
	}
	return gone, tx.Exec(`
UPDATE event_keys k SET state = 'waiting', attempts = 0, since = clock_timestamp(), next_at = clock_timestamp(), error = ''
WHERE consumer = ? AND (source, key) IN ? AND (source, key, `+firstParked+`) NOT IN ?`, consumer, k.names, k.firsts).Error
}
