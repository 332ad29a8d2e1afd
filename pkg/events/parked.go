package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
)

const (
	maxAttempts  = 10               // recorded attempts before an event is dead
	backoffUnit  = time.Second      // the first wait; each is twice the one before
	backoffMax   = 10 * time.Minute // and at most this
	backoffNoise = 0.2              // ± share of it
	parkedPoll   = 500 * time.Millisecond
)

// backoff is the wait after the given number of attempts.
func backoff(attempts int) time.Duration {
	d := min(backoffUnit<<min(attempts-1, 16), backoffMax)
	return time.Duration(float64(d) * (1 + backoffNoise*(2*rand.Float64()-1)))
}

// retryParked gives parked events further attempts, the first of each key only.
func (c *Consumer) retryParked(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := c.retryOne(ctx)
		if err != nil && ctx.Err() == nil {
			c.deps.Log.WarnContext(ctx, "parked events not looked after", "error", err)
		}
		if !more || err != nil {
			c.countParked(ctx)
			c.forgetOld(ctx)
			pause(ctx, parkedPoll)
		}
	}
}

// parkedRow is a parked event that is due.
type parkedRow struct {
	id       int64
	envelope string
	attempts int
}

// retryOne gives one due event an attempt. It answers false if none is due.
func (c *Consumer) retryOne(ctx context.Context) (bool, error) {
	work := context.WithoutCancel(ctx)
	var row parkedRow
	err := c.db.Gorm.WithContext(work).Transaction(func(tx *gorm.DB) error {
		var err error
		if row, err = c.due(work, tx); err != nil {
			return err
		}
		return c.retry(work, tx, row)
	})
	var failed *handlerError
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case errors.As(err, &failed):
		return true, c.postpone(work, row, failed)
	}
	return err == nil, err
}

// due locks the parked event whose attempt is due and which is the first of its
// key. Events without a key do not wait for each other.
func (c *Consumer) due(ctx context.Context, tx *gorm.DB) (parkedRow, error) {
	var row parkedRow
	err := tx.Statement.ConnPool.QueryRowContext(ctx, `
SELECT p.id, p.envelope, p.attempts FROM event_parked p
WHERE p.consumer = $1 AND p.state = 'waiting' AND p.next_at <= now() AND NOT EXISTS (
	SELECT 1 FROM event_parked h
	WHERE h.consumer = p.consumer AND h.stream = p.stream AND h.key = p.key AND h.key <> '' AND h.id < p.id
		AND h.state <> 'discarded')
ORDER BY p.next_at, p.id LIMIT 1
FOR UPDATE OF p SKIP LOCKED`, c.name).Scan(&row.id, &row.envelope, &row.attempts)
	return row, err
}

func (c *Consumer) retry(ctx context.Context, tx *gorm.DB, row parkedRow) error {
	e, err := ParseEnvelope([]byte(row.envelope))
	if err != nil {
		return &handlerError{err: Permanent(err)}
	}
	h, ok := c.handlers[e.Event]
	if !ok || e.Version > h.version {
		return &handlerError{err: Permanent(fmt.Errorf("no handler for version %d of %s", e.Version, e.Event))}
	}
	if err = c.invoke(ctx, h, tx, e, row.attempts+1); err == nil {
		err = database.Settle(ctx, tx)
	}
	if err != nil {
		return &handlerError{err: err}
	}
	if _, err := tx.Statement.ConnPool.ExecContext(ctx, `DELETE FROM event_parked WHERE id = $1`, row.id); err != nil {
		return fmt.Errorf("take parked event out: %w", err)
	}
	c.metrics.events.WithLabelValues(e.Event, outcomeDone).Inc()
	return nil
}

// postpone records a failed attempt: the next one comes later, or never.
func (c *Consumer) postpone(ctx context.Context, row parkedRow, failed *handlerError) error {
	attempts, state := row.attempts+1, stateWaiting
	if attempts >= maxAttempts || failed.hopeless() {
		state = stateDead
		c.deps.Log.ErrorContext(ctx, "event is dead", "parked_id", row.id, "attempts", attempts, "error", failed.err)
	}
	_, err := c.db.Gorm.Statement.ConnPool.ExecContext(ctx, `
UPDATE event_parked SET attempts = $2, state = $3, last_error = $4, next_at = now() + $5 * interval '1 second'
WHERE id = $1 AND attempts = $6`, row.id, attempts, state, storable(failed.Error()), failed.delay(attempts).Seconds(), row.attempts)
	if err != nil {
		return fmt.Errorf("postpone parked event: %w", err)
	}
	return nil
}

// forgetOld removes inbox rows of events that no log holds any more, and what
// was discarded as long ago.
func (c *Consumer) forgetOld(ctx context.Context) {
	if time.Since(c.forgot) < keepInterval {
		return
	}
	c.forgot = time.Now()
	days := c.cfg.LogDays + 1
	for _, query := range []string{
		`DELETE FROM event_inbox WHERE consumer = $1 AND handled_at < now() - $2 * interval '1 day'`,
		`DELETE FROM event_parked WHERE consumer = $1 AND state = 'discarded' AND next_at < now() - $2 * interval '1 day'`,
	} {
		if _, err := c.db.Gorm.Statement.ConnPool.ExecContext(ctx, query, c.name, days); err != nil && ctx.Err() == nil {
			c.deps.Log.WarnContext(ctx, "old events not forgotten", "error", err)
		}
	}
}

func (c *Consumer) countParked(ctx context.Context) {
	var waiting, dead float64
	err := c.db.Gorm.Statement.ConnPool.QueryRowContext(ctx, `
SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'dead')
FROM event_parked WHERE consumer = $1`, c.name).Scan(&waiting, &dead)
	if err != nil {
		return // the metric keeps its last value; the next look logs what is wrong
	}
	c.metrics.parked.WithLabelValues(stateWaiting).Set(waiting)
	c.metrics.parked.WithLabelValues(stateDead).Set(dead)
}
