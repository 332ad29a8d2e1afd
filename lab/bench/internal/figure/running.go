package figure

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// running is a road at work.
type running struct {
	ctx    context.Context // ends, with the cause, when a part of it fails
	cancel context.CancelCauseFunc
	errs   chan error
	parts  int
	ended  func()
}

// start sets carrier and receiver to work, and returns when events go through.
func (b *Bench) start(ctx context.Context, side report.Side, r road.Road, t *tally) (*running, error) {
	run := b.receive(ctx, side, r, t, r.Carry)
	if err := b.warmUp(run.ctx, r, t); err != nil {
		return nil, errors.Join(err, run.stop())
	}
	return run, nil
}

// receive sets the receiver to work, and other parts with it.
func (b *Bench) receive(ctx context.Context, side report.Side, r road.Road, t *tally, others ...func(context.Context) error) *running {
	run := b.launch(ctx, append(others, func(ctx context.Context) error { return r.Deliver(ctx, t.handle) })...)
	run.ended = func() { b.repeated[side] += t.repeated.Load() }
	return run
}

// launch runs parts until they are stopped.
func (b *Bench) launch(ctx context.Context, parts ...func(context.Context) error) *running {
	ctx, cancel := context.WithCancelCause(ctx)
	run := &running{ctx: ctx, cancel: cancel, errs: make(chan error, len(parts)), parts: len(parts), ended: func() {}}
	for _, part := range parts {
		go func() {
			err := part(ctx)
			if err != nil {
				cancel(err)
			}
			run.errs <- err
		}()
	}
	return run
}

// stop ends what runs and waits for it.
func (r *running) stop() error {
	r.cancel(nil)
	var errs []error
	for range r.parts {
		errs = append(errs, <-r.errs)
	}
	r.ended()
	return errors.Join(errs...)
}

// warmUp sends events until they come through.
func (b *Bench) warmUp(ctx context.Context, r road.Road, t *tally) error {
	for n := range warmUps {
		if err := r.Write(ctx, road.NewEvent(t.slice, -1-n)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	err := until(ctx, runUpLimit, func() (bool, string) {
		have := t.warm.Load()
		return have >= warmUps, fmt.Sprintf("%d of %d events of the warm-up were handled", have, warmUps)
	})
	if err != nil {
		return err
	}
	return nil
}
