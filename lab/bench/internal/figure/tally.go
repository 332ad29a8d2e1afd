package figure

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/road"
)

// tally notes when each event of a slice was handled first.
type tally struct {
	slice   int64
	began   time.Time
	at      []atomic.Int64 // nanoseconds since began; 0 is not yet
	handled atomic.Int64
	last    atomic.Int64 // the greatest of at

	warm     atomic.Int64
	repeated atomic.Int64
}

// newTally makes the tally of a slice with at most n events.
func (b *Bench) newTally(n int) *tally {
	return &tally{slice: b.newSlice(), began: time.Now(), at: make([]atomic.Int64, n)}
}

// handle is the handler.
func (t *tally) handle(e road.Event) {
	switch {
	case e.Slice != t.slice: // left from an earlier one
		return
	case e.N < 0:
		t.warm.Add(1)
		return
	}
	now := int64(t.now())
	if !t.at[e.N].CompareAndSwap(0, now) {
		t.repeated.Add(1)
		return
	}
	for last := t.last.Load(); now > last && !t.last.CompareAndSwap(last, now); {
		last = t.last.Load()
	}
	t.handled.Add(1)
}

// now is the time on the tally's clock.
func (t *tally) now() time.Duration { return time.Since(t.began) }

// wait waits until n events were handled.
func (t *tally) wait(ctx context.Context, n int) error {
	return until(ctx, waitLimit, func() (bool, string) {
		have := t.handled.Load()
		return have >= int64(n), fmt.Sprintf("%d of %d events were handled", have, n)
	})
}

// until waits for done, which also says how far it is.
func until(ctx context.Context, limit time.Duration, done func() (bool, string)) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		ok, progress := done()
		switch {
		case ok:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("after %v %s", limit, progress)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", progress, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// span is the time from the first event handled to the last.
func (t *tally) span() time.Duration {
	first := t.last.Load()
	for i := range t.at {
		if at := t.at[i].Load(); at > 0 {
			first = min(first, at)
		}
	}
	return time.Duration(t.last.Load() - first)
}

// perSecond is n events within d.
func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }
