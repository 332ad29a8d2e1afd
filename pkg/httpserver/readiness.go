package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	checkTimeout = time.Second
	checkHolds   = 500 * time.Millisecond
)

var errStillRunning = errors.New("the last check is still running")

// readiness knows what a service needs in order to serve.
type readiness struct {
	log *slog.Logger

	mu     sync.Mutex
	checks []*check
	at     time.Time // of the last run
	last   []string
}

type check struct {
	name    string
	run     func(ctx context.Context) error
	running atomic.Bool
	failed  bool // at the last run; only readiness.run looks at it
}

func (r *readiness) add(name string, run func(ctx context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, &check{name: name, run: run})
	r.at = time.Time{}
}

// failing returns the names of the checks that fail, in the order they were
// added.
func (r *readiness) failing(ctx context.Context, now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || now.Sub(r.at) >= checkHolds {
		// All callers share the answer, so the one who asked may hang up.
		r.last = r.runAll(context.WithoutCancel(ctx))
		r.at = time.Now()
	}
	return r.last
}

func (r *readiness) runAll(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { errs[i] = c.bounded(ctx) })
	}
	wg.Wait()

	var failing []string
	for i, c := range r.checks {
		if errs[i] != nil {
			failing = append(failing, c.name)
		}
		r.note(ctx, c, errs[i])
	}
	return failing
}

// bounded comes back when ctx ends even if the check does not; such a check is
// not started again before it has.
func (c *check) bounded(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errStillRunning
	}
	done := make(chan error, 1)
	go func() {
		defer c.running.Store(false)
		done <- c.run(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note logs when a check begins to fail and when it is well again.
func (r *readiness) note(ctx context.Context, c *check, err error) {
	switch {
	case err != nil && !c.failed:
		r.log.LogAttrs(ctx, slog.LevelWarn, "not ready",
			slog.String("check", c.name), slog.String("error", err.Error()))
	case err == nil && c.failed:
		r.log.LogAttrs(ctx, slog.LevelInfo, "ready again", slog.String("check", c.name))
	}
	c.failed = err != nil
}
