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

// HousekeepStep measures the outbox, in every instance, and in the leading one redacts
// erased events and deletes the oldest events of the log. Moving and appending do not wait
// for it.
func (r *Relay) HousekeepStep(ctx context.Context) time.Duration {
	if err := errors.Join(r.measure(ctx), r.erase(ctx), r.retain(ctx)); err != nil {
		r.housekeep.trouble.Failed(ctx, r.log, err)
	} else {
		r.housekeep.trouble.Succeeded(ctx, r.log)
	}
	return housekeepTime
}

func (r *Relay) measure(ctx context.Context) error {
	n, age, err := r.db.Backlog(ctx)
	if err == nil {
		r.metrics.backlog.Set(float64(n))
		r.metrics.oldest.Set(age.Seconds())
	}
	return err
}

// erase redacts what is to be erased. What it does not finish is found again in the rows.
func (r *Relay) erase(ctx context.Context) error {
	for more := r.appender.fresh.leading(); more; {
		n, left, err := r.db.Erase(ctx)
		if err != nil {
			return err
		}
		r.metrics.redacted.Add(float64(n))
		more = left && ctx.Err() == nil
	}
	return nil
}

func (r *Relay) retain(ctx context.Context) error {
	if !r.appender.fresh.leading() {
		r.housekeep.allowed = nil
		return nil
	}
	parts, err := r.db.Ask(ctx, nil)
	if err != nil {
		return err
	}
	if r.housekeep.allowed == nil {
		r.housekeep.allowed = map[int64]*allowance{}
	}
	age := time.Duration(r.config.LogDays) * 24 * time.Hour
	for _, p := range parts {
		a := r.housekeep.allowed[p.Number]
		if a == nil {
			a = &allowance{}
			r.housekeep.allowed[p.Number] = a
		}
		a.grow(r.now(), p.Len())
		if n := deletable(p, r.config.StreamCap, a.rows); n > 0 {
			deleted, err := r.db.Trim(ctx, p.Number, min(n, trimCount), age)
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
