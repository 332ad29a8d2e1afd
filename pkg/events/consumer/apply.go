package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
)

const (
	applyTime     = 200 * time.Millisecond // how long a transaction goes on taking further events
	pieceSize     = 50                     // events with savepoints in one transaction
	maxFailedKeys = 10                     // failing keys that mean that all would fail
)

// Errors of an attempt that are not the database's.
var (
	errMoved       = errors.New("offset was changed by another transaction")
	errNotReadable = errors.New("an earlier layout is not read to its end")
	errAllFail     = errors.New("all keys fail")
	errTakenTwice  = errors.New("an event was taken by another part meanwhile")
)

// handlerError is the failure of one event of a batch.
type handlerError struct {
	pos int64
	err error
}

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// apply applies a batch: in one transaction if nothing fails, and otherwise in pieces
// with savepoints, smaller ones after each error that the database asks to retry. It
// returns the wait until the next batch.
func (r *reader) apply(ctx context.Context, b batch) (time.Duration, error) {
	size, savepoints, rest := len(b.events), false, false
	for {
		a := attempt{c: r.c, r: r, savepoints: savepoints}
		piece := batch{b.start, b.events[:min(size, len(b.events))]}
		err := r.c.db.Transact(ctx, func(tx Tx) error { return a.run(ctx, tx, piece) })
		var failed *handlerError
		switch isHandlers := errors.As(err, &failed); {
		case err == nil:
			a.finish(ctx)
			b = batch{a.end, b.events[len(a.outcomes):]}
			if rest || a.failedKeys > maxFailedKeys {
				return r.rest(ctx), nil
			}
			if len(b.events) == 0 {
				return 0, nil
			}
		case errors.Is(err, errMoved):
			r.restart(a.row)
			return retryMin, nil
		case errors.Is(err, ErrKeyGone):
		case errors.Is(err, errNotReadable):
			return layoutTry, nil
		case errors.Is(err, errAllFail):
			if a.firstFailed == 0 {
				return r.rest(ctx), nil
			}
			size, rest = a.firstFailed, true
		case isHandlers && errors.Is(err, errOverrun): // its connection is gone
			r.setAsideEvent(failed)
		case isHandlers && !savepoints:
			savepoints, size = true, min(size, pieceSize)
		case (database.IsRetryable(err) || errors.Is(err, errTakenTwice)) && size > 1:
			savepoints, size = true, max(size/4, 1)
		default:
			return 0, err
		}
	}
}

// setAsideEvent marks an event to be parked without another call of its handler.
func (r *reader) setAsideEvent(e *handlerError) {
	if r.setAside == nil {
		r.setAside = map[int64]error{}
	}
	r.setAside[e.pos] = e.err
}

// rest waits longer and longer while all keys fail, instead of parking them all.
func (r *reader) rest(ctx context.Context) time.Duration {
	if r.rests == 0 {
		r.c.log.WarnContext(ctx, "handlers fail for one key after the other; waiting", "source", r.key.source, "part", r.key.part)
	}
	r.rests++
	return min(retryMin<<min(r.rests, maxRests), retryMax)
}

// maxRests is after how many waits what fails is parked all the same.
const maxRests = 8

// attempt is one transaction.
type attempt struct {
	c           *Consumer
	r           *reader
	savepoints  bool
	tx          Tx
	row         Offset
	end         events.Position
	outcomes    []outcome
	waits       map[string]bool // keys with parked events
	failedKeys  int             // keys that failed one after the other
	firstFailed int             // index in the batch of the first of them
	skipped     int64
}

type outcome struct{ event, what string }

func (a *attempt) run(ctx context.Context, tx Tx, b batch) error {
	a.tx, a.end, a.outcomes, a.failedKeys, a.firstFailed = tx, b.start, a.outcomes[:0], a.r.failures, 0
	ids, keys := make([]uuid.UUID, len(b.events)), make([]string, len(b.events))
	for i, d := range b.events {
		ids[i], keys[i] = d.ID, d.Key
	}
	known, err := tx.Lock(a.r.key.source, a.r.key.part, ids, keys)
	if err != nil {
		return err
	}
	a.row, a.waits = known.Offset, known.Waits
	if err := a.check(); err != nil {
		return err
	}
	began, fresh := a.c.now(), 0
	taken := make([]Taken, 0, len(b.events))
	for i, d := range b.events {
		if i > 0 && a.c.now()-began > applyTime {
			break
		}
		what := outcomeRepeat
		if !known.Seen[d.ID] {
			if what, err = a.take(ctx, d, len(b.events) == 1); err != nil {
				return err
			}
			if what == outcomeDone {
				a.failedKeys, a.firstFailed = 0, i+1
			}
			fresh++
			known.Seen[d.ID] = true
		}
		a.end = d.Position
		a.outcomes = append(a.outcomes, outcome{d.env.Event, what})
		taken = append(taken, Taken{d.Position, d.ID, what == outcomePassed})
	}
	if a.failedKeys > maxFailedKeys && a.r.rests < maxRests {
		return errAllFail
	}
	a.skipped = b.start.Pos - a.row.Pos
	n, err := tx.Take(a.row, a.end, taken)
	if err == nil && n != fresh {
		err = errTakenTwice
	}
	return err
}

// check compares the locked offset as a whole. A row of another instance, or one
// that a restored database does not have, is not this reader's to move.
func (a *attempt) check() error {
	if a.row != a.r.at || a.row.Owner != a.c.instance {
		return errMoved
	}
	parts := a.c.parts(a.r.key.source)
	if !hasEarlier(parts, a.r.key.part) {
		return nil
	}
	offsets, err := a.tx.Offsets(a.r.key.source)
	if err == nil && !readable(parts, a.r.key.part, offsets) {
		err = errNotReadable
	}
	return err
}

// take applies an event that is not in the inbox, parks it or ignores it.
func (a *attempt) take(ctx context.Context, d delivery, alone bool) (string, error) {
	s, declared := a.c.subscription(d.env)
	if a.waits[d.Key] && (d.env.Erases || s != nil && s.Erases) {
		if err := a.tx.Unpark(a.r.key.source, d.Key); err != nil {
			return "", err
		}
		delete(a.waits, d.Key)
	}
	switch {
	case d.bad != nil:
		return outcomeDead, a.park(d, StateDead, 0, d.bad)
	case d.pass || s == nil && !declared: // a type declared meanwhile is like one declared after this event
		return outcomePassed, nil
	case d.env.Redacted:
		return outcomeErased, nil
	case a.waits[d.Key]:
		return outcomeParked, a.park(d, StateWaiting, 0, nil)
	case s == nil:
		return outcomeAhead, a.park(d, StateAhead, aheadRetry, errors.New("this release does not know the event's type or version"))
	}
	if err := a.r.setAside[d.Pos]; err != nil {
		return a.failed(ctx, d, err)
	}
	if !a.savepoints {
		if err := a.call(ctx, d, s); err != nil {
			return "", &handlerError{d.Pos, err}
		}
		return outcomeDone, nil
	}
	failure, err := a.tx.Savepoint(func() error { return a.call(ctx, d, s) })
	if err != nil {
		return "", err
	}
	if failure != nil && database.IsRetryable(failure) && !alone {
		return "", &handlerError{d.Pos, failure}
	}
	if failure != nil {
		return a.failed(ctx, d, failure)
	}
	return outcomeDone, nil
}

func (a *attempt) call(ctx context.Context, d delivery, s *events.Subscription) error {
	return a.c.invoke(ctx, a.tx, s, d.env, 1, InlineTime)
}

// failed parks an event whose handler failed, unless all events fail.
func (a *attempt) failed(ctx context.Context, d delivery, failure error) (string, error) {
	if errors.Is(failure, errOverrun) && a.r.setAside[d.Pos] == nil {
		return "", &handlerError{d.Pos, failure}
	}
	state, what := StateWaiting, outcomeParked
	if events.IsPermanent(failure) {
		state, what = StateDead, outcomeDead
	} else {
		a.failedKeys++
	}
	a.c.log.ErrorContext(spanContext(ctx, d.env, 1), "handler failed; event parked", "event", d.env.Event,
		"event_id", d.ID.String(), "state", state, "error", failure)
	return what, a.park(d, state, retryDelay(d.Key, 1, failure), failure)
}

func (a *attempt) park(d delivery, state string, wait time.Duration, reason error) error {
	k, text := Key{Source: a.r.key.source, Key: d.Key, State: state}, ""
	if reason != nil {
		text, k.Attempts = storable(reason.Error()), 1
	}
	if state == StateAhead {
		k.Attempts = 0
	}
	err := a.tx.Park(k, wait, text, Parked{Part: a.r.key.part, Record: d.Record}, d.env.Event)
	if err != nil {
		return fmt.Errorf("park event: %w", err)
	}
	a.waits[d.Key] = true
	return nil
}

// finish takes over what a committed attempt has done.
func (a *attempt) finish(ctx context.Context) {
	a.r.at.Position, a.r.changed, a.r.failures = a.end, a.c.now(), a.failedKeys
	if a.failedKeys == 0 {
		a.r.rests = 0
	}
	if a.skipped > 0 {
		a.c.metrics.lost.Add(float64(a.skipped))
		a.c.log.ErrorContext(ctx, "events were deleted from the producer's log before this consumer read them",
			"source", a.r.key.source, "part", a.r.key.part, "after", a.row.Pos, "lost", a.skipped)
	}
	for _, o := range a.outcomes {
		a.c.metrics.count(a.c, a.r.key.source, o)
		if o.what == outcomeParked {
			a.c.expectRetry(backoffMin)
		}
	}
	for pos := range a.r.setAside {
		if pos <= a.end.Pos {
			delete(a.r.setAside, pos)
		}
	}
}
