package consumer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

const (
	aheadRetry = 10 * time.Second // until an event of an unknown type is looked at again
	retryPoll  = time.Second
)

// retryStep retries the keys that are due. It returns the wait until
// the next one.
func (c *Consumer) retryStep(ctx context.Context, trouble *backoff.Backoff) time.Duration {
	if g := c.group.Load(); g == nil || g.Paused {
		return heartbeatTime
	}
	if wait := time.Duration(c.due.Load()) - c.now(); wait > 0 {
		return min(wait, retryPoll)
	}
	c.due.Store(math.MaxInt64)
	found, err := c.retryKey(context.WithoutCancel(ctx))
	if err != nil {
		return trouble.Failed(ctx, c.log, err)
	}
	trouble.Succeeded(ctx, c.log)
	if found {
		c.expectRetry(0) // there may be more
		return 0
	}
	return retryPoll
}

// expectRetry has the next attempt made after d at the latest.
func (c *Consumer) expectRetry(d time.Duration) {
	at := int64(c.now() + d)
	for due := c.due.Load(); at < due && !c.due.CompareAndSwap(due, at); due = c.due.Load() {
	}
	wake(c.retryDue)
}

// retryKey tries the parked events of one key, in order, until one fails. It
// reports whether there was a key that was due.
func (c *Consumer) retryKey(ctx context.Context) (bool, error) {
	t := keyRetry{c: c}
	err := c.db.Transact(ctx, func(tx Tx) error { return t.run(ctx, tx) })
	var failed *handlerError
	switch {
	case errors.As(err, &failed): // the transaction is gone, and the lock with it
		return true, c.db.Transact(ctx, func(tx Tx) error { return t.postpone(ctx, tx, failed.err) })
	case err != nil || !t.found:
		return false, err
	}
	for _, o := range t.outcomes {
		c.metrics.count(c, t.key.Source, o)
	}
	if t.empty {
		return true, c.db.DropKey(ctx, t.key.Source, t.key.Key)
	}
	return true, nil
}

// keyRetry is one transaction on one key.
type keyRetry struct {
	c            *Consumer
	key          Key
	env          events.Envelope // of the event being tried
	found, empty bool
	outcomes     []outcome
}

func (t *keyRetry) run(ctx context.Context, tx Tx) (err error) {
	t.outcomes, t.empty = t.outcomes[:0], false
	if t.key, t.found, err = tx.LockDue(); err != nil || !t.found {
		return err
	}
	for began := t.c.now(); t.c.now()-began < applyTime; {
		p, ok, err := tx.First(t.key.Source, t.key.Key)
		if err != nil {
			return err
		}
		if t.empty = !ok; t.empty {
			return nil
		}
		goOn, err := t.try(ctx, tx, p)
		if err != nil || !goOn {
			return err
		}
		t.key.Attempts, t.key.Age = 0, 0
	}
	return nil
}

// try attempts the first event of the key. It reports whether the next may
// follow.
func (t *keyRetry) try(ctx context.Context, tx Tx, p Parked) (bool, error) {
	env, err := events.ParseEnvelope([]byte(p.Envelope))
	if err != nil {
		return false, t.postpone(ctx, tx, events.Permanent(err))
	}
	env.Service, env.ID, env.Key = t.key.Source, p.ID, p.Key
	t.env = env
	s, declared := t.c.subscription(env)
	switch {
	case s == nil && declared:
		t.key.State = StateAhead
		return false, tx.Postpone(t.key, aheadRetry, "this release does not know the event's type or version")
	case s == nil: // no release handles it any more
		t.outcomes = append(t.outcomes, outcome{env.Event, outcomePassed})
		return true, tx.Remove(t.key.Source, t.key.Key, p.Number)
	}
	failure, err := tx.Savepoint(func() error { return t.c.invoke(ctx, tx, s, env, t.key.Attempts+1, HandlerTime) })
	switch {
	case errors.Is(failure, errOverrun):
		return false, &handlerError{p.Pos, failure}
	case err != nil:
		return false, err
	case failure != nil:
		return false, t.postpone(ctx, tx, failure)
	}
	t.outcomes = append(t.outcomes, outcome{env.Event, outcomeDone})
	return true, tx.Remove(t.key.Source, t.key.Key, p.Number)
}

// postpone records a failed attempt: the next one comes later, or never.
func (t *keyRetry) postpone(ctx context.Context, tx Tx, failure error) error {
	k, ok, err := tx.LockKey(t.key.Source, t.key.Key)
	if err != nil || !ok || k.Attempts != t.key.Attempts {
		return err // another transaction has decided meanwhile
	}
	k.State = StateWaiting
	if k.Attempts++; isDead(k.Attempts, k.Age, failure) {
		k.State = StateDead
		t.outcomes = append(t.outcomes, outcome{t.env.Event, outcomeDead})
		t.c.log.ErrorContext(spanContext(ctx, t.env, 2), "event moved to dead letters", "event", t.env.Event,
			"event_id", t.env.ID.String(), "attempts", k.Attempts, "error", failure)
	}
	wait := retryDelay(k.Key, k.Attempts, failure)
	if err := tx.Postpone(k, wait, storable(failure.Error())); err != nil {
		return fmt.Errorf("postpone parked event: %w", err)
	}
	if k.State == StateWaiting {
		t.c.expectRetry(wait)
	}
	return nil
}

// storable makes any text fit into a text column.
func storable(s string) string {
	const most = 4 << 10
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD"), "\x00", "\uFFFD")
}
