package eventbench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
)

// running are the parts of a pipeline at work.
type running struct {
	ctx    context.Context // done when a part has failed
	cancel context.CancelFunc
	parts  *errgroup.Group
}

// start runs parts until they are stopped.
func start(ctx context.Context, parts ...func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error { return part(ctx) })
	}
	return &running{ctx, cancel, group}
}

// stop ends what runs and waits for it.
func (r *running) stop() error {
	r.cancel()
	return r.parts.Wait()
}

// startAll starts relay and consumer and returns when events arrive.
func startAll(ctx context.Context, p pipeline.Pipeline, c *counts) (*running, error) {
	run := start(ctx, p.Relay, c.consume(p))
	if err := c.warmUp(run.ctx, p); err != nil {
		return nil, errors.Join(err, run.stop())
	}
	return run, nil
}

// counts notes when each event of a slice was handled first.
type counts struct {
	slice         int64
	began         time.Time
	at            []atomic.Int64 // nanoseconds since began; 0 is not yet
	handled, warm atomic.Int64
}

// newCounts counts a slice of at most n events.
func (b *Bench) newCounts(n int) *counts {
	return &counts{slice: b.slices.Add(1), began: time.Now(), at: make([]atomic.Int64, n)}
}

// consume returns the part of p that consumes into the counts.
func (c *counts) consume(p pipeline.Pipeline) func(context.Context) error {
	return func(ctx context.Context) error { return p.Consume(ctx, c.handle) }
}

func (c *counts) handle(e pipeline.Event) {
	switch {
	case e.Slice != c.slice: // of an earlier slice
	case e.N < 0:
		c.warm.Add(1)
	case c.at[e.N].CompareAndSwap(0, int64(c.now())): // not delivered before
		c.handled.Add(1)
	}
}

// now returns the time since the counts began.
func (c *counts) now() time.Duration { return time.Since(c.began) }

// wait waits until n events were handled.
func (c *counts) wait(ctx context.Context, n int) error {
	return reach(ctx, handleTime, "events handled", int64(n), c.handled.Load)
}

// warmUp sends events until they were handled.
func (c *counts) warmUp(ctx context.Context, p pipeline.Pipeline) error {
	for n := range warmUps {
		if err := p.Write(ctx, pipeline.NewEvent(c.slice, -1-n)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return reach(ctx, warmUpTime, "events of the warm-up handled", warmUps, c.warm.Load)
}

// reach waits until have returns at least want.
func reach(ctx context.Context, limit time.Duration, what string, want int64, have func() int64) error {
	return poll.Until(ctx, limit, func() error {
		if n := have(); n < want {
			return fmt.Errorf("%d of %d %s", n, want, what)
		}
		return nil
	})
}

// span returns when the first and the last event were handled.
func (c *counts) span() (first, last time.Duration) {
	for i := range c.at {
		at := time.Duration(c.at[i].Load())
		if at > 0 && (first == 0 || at < first) {
			first = at
		}
		last = max(last, at)
	}
	return first, last
}
