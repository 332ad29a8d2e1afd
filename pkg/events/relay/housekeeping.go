package relay

import (
	"context"
	"errors"
	"time"

	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

// housekeep is what retention remembers between steps.
type housekeep struct {
	allowed map[int64]*allowance
	trouble backoff.Backoff
}

// TidyStep measures what waits, in every instance, and where it leads deletes what
// the log need not keep. Moving and appending do not wait for it.
func (r *Relay) TidyStep(ctx context.Context) time.Duration {
	r.housekeep.trouble.What = "retention of the event log"
	if err := errors.Join(r.measure(ctx), r.retain(ctx)); err != nil {
		r.housekeep.trouble.Failed(ctx, r.Deps.Log, err)
	} else {
		r.housekeep.trouble.Succeeded(ctx, r.Deps.Log)
	}
	return tidyTime
}

func (r *Relay) measure(ctx context.Context) error {
	n, age, err := r.DB.Backlog(ctx)
	if err == nil {
		r.metrics.backlog.Set(float64(n))
		r.metrics.oldest.Set(age.Seconds())
	}
	return err
}

func (r *Relay) retain(ctx context.Context) error {
	if !r.appender.fresh.leading() {
		r.housekeep.allowed = nil
		return nil
	}
	parts, err := r.DB.Ask(ctx, nil)
	if err != nil {
		return err
	}
	if r.housekeep.allowed == nil {
		r.housekeep.allowed = map[int64]*allowance{}
	}
	age := time.Duration(r.Config.LogDays) * 24 * time.Hour
	for _, p := range parts {
		a := r.housekeep.allowed[p.Number]
		if a == nil {
			a = &allowance{}
			r.housekeep.allowed[p.Number] = a
		}
		a.grow(r.Now(), p.Len())
		if n := deletable(p, r.Config.StreamCap, a.rows); n > 0 {
			deleted, err := r.DB.Trim(ctx, p.Number, min(n, trimCount), age)
			if err != nil {
				return err
			}
			a.rows -= float64(deleted)
			r.metrics.trimmed.Add(float64(deleted))
		}
	}
	return nil
}

// trimCount is the most events deleted of a part at once.
const trimCount = 10_000
