package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Recorded is an event as a producer's log holds it.
type Recorded struct {
	Position int64           `json:"position"`
	Envelope json.RawMessage `json:"envelope"`
}

// History asks producers what their logs hold. It must be safe for concurrent
// use.
type History interface {
	// Read gives at most limit events of a partition of source's log, those
	// behind position after, in order; none if there are no more.
	Read(ctx context.Context, source string, part int, after int64, limit int) ([]Recorded, error)
	// Seek gives the position behind which the events since t stand.
	Seek(ctx context.Context, source string, part int, t time.Time) (int64, error)
}

// readBytes is how much of the log ReadLog gives at once, but for one event.
const readBytes = 512 << 10

// ReadLog is the producer's side of History.Read: it reads this service's own log.
// It may give less than limit although there is more.
func ReadLog(ctx context.Context, db *gorm.DB, part int, after int64, limit int) ([]Recorded, error) {
	rows, err := db.Statement.ConnPool.QueryContext(ctx, `
SELECT pos, envelope FROM event_log WHERE part = $1 AND pos > $2 ORDER BY pos LIMIT $3`, part, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read event log: %w", err)
	}
	defer rows.Close()
	recorded, size := []Recorded{}, 0
	for size < readBytes && rows.Next() {
		var position int64
		var envelope string
		if err := rows.Scan(&position, &envelope); err != nil {
			return nil, fmt.Errorf("read event log: %w", err)
		}
		size += len(envelope)
		recorded = append(recorded, Recorded{position, json.RawMessage(envelope)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read event log: %w", err)
	}
	return recorded, nil
}

// gapError says that the stream has gone from have to got and lacks what is
// between.
type gapError struct{ have, got delivery }

func (e *gapError) Error() string {
	return fmt.Sprintf("stream goes from %s to %s", e.have.at, e.got.id)
}

// SeekLog is the producer's side of History.Seek.
func SeekLog(ctx context.Context, db *gorm.DB, part int, t time.Time) (int64, error) {
	var position int64
	err := db.Statement.ConnPool.QueryRowContext(ctx, `
SELECT coalesce(
	(SELECT min(pos) - 1 FROM event_log WHERE part = $1 AND created_at >= $2),
	(SELECT last_pos FROM event_streams WHERE part = $1), 0)`, part, t).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("seek in event log: %w", err)
	}
	return position, nil
}

// errReadAgain ends a session so that reading begins at the offset again.
var errReadAgain = errors.New("read again from the offset")

// mend closes a gap. At first it only reads again: when the offset was set back
// with its database, the stream has the events and the cursor was ahead. If
// they are missing still, the producer's log has them.
func (r *reader) mend(ctx context.Context, gap *gapError) error {
	if r.gapAt != gap.have.at {
		r.gapAt = gap.have.at
		return errReadAgain
	}
	r.metrics.gaps.Inc()
	r.deps.Log.ErrorContext(ctx, "stream lacks events, asking their producer",
		"stream", r.feed.stream(), "have", gap.have.at.String(), "got", gap.got.id)
	for after := gap.have.at.pos; ctx.Err() == nil; {
		page, err := r.history.Read(ctx, r.feed.source, r.feed.part, after, readCount)
		if err != nil {
			return fmt.Errorf("ask %s for missing events: %w", r.feed.source, err)
		}
		missing := r.missing(page, gap)
		if len(missing) == 0 {
			if after == gap.have.at.pos { // the producer does not know what was got
				r.stray = gap.got.id
			}
			return errReadAgain
		}
		if lost := missing[0].at.pos - after - 1; lost > 0 {
			return r.giveUp(ctx, after, lost)
		}
		after = missing[len(missing)-1].at.pos
		if err := r.settle(ctx, missing); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// missing gives what of a page of the log belongs into the gap.
func (r *reader) missing(page []Recorded, gap *gapError) []delivery {
	gen := gap.have.at.gen
	if gen == 0 { // nothing was read before
		gen = gap.got.at.gen
	}
	var missing []delivery
	for _, rec := range page {
		if gap.got.at.gen == gen && rec.Position >= gap.got.at.pos && gap.got.err == nil {
			break
		}
		at := position{gen, rec.Position}
		missing = append(missing, r.open(delivery{at: at, id: at.String(), raw: string(rec.Envelope)}))
	}
	return missing
}

// giveUp moves the offset past events that nobody has any more: they are older
// than the producer keeps its log. It is counted and logged, never silent.
func (r *reader) giveUp(ctx context.Context, after, lost int64) error {
	_, err := r.db.Gorm.Statement.ConnPool.ExecContext(ctx, `
UPDATE event_offsets SET pos = pos + $4 WHERE consumer = $1 AND stream = $2 AND pos = $3`,
		r.name, r.feed.stream(), after, lost)
	if err != nil {
		return fmt.Errorf("move offset past lost events: %w", err)
	}
	r.metrics.lost.Add(float64(lost))
	r.deps.Log.ErrorContext(ctx, "events are older than their producer's log and lost to this consumer",
		"stream", r.feed.stream(), "after", after, "lost", lost)
	return errReadAgain
}
