package durability

import (
	"context"
	"fmt"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/e2e/world"
)

func (l *lab) outageWithData(ctx context.Context) (string, error) {
	return l.outage(ctx, func() error { return nil })
}

func (l *lab) outageWithoutData(ctx context.Context) (string, error) {
	return l.outage(ctx, l.stack.emptyRedis)
}

// normally is how long writes are measured before Redis goes away.
const normally = 10 * time.Second

// outage measures writes with Redis and without. No write may fail.
func (l *lab) outage(ctx context.Context, meanwhile func() error) (string, error) {
	before, err := l.under(ctx, 0, l.once, func(ctx context.Context) error {
		_ = poll.Sleep(ctx, min(normally, l.cfg.Outage))
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := l.stack.Do(ctx, "kill", world.Redis); err != nil {
		return "", err
	}
	during, err := l.under(ctx, 0, l.once, func(ctx context.Context) error {
		_ = poll.Sleep(ctx, l.cfg.Outage)
		return meanwhile()
	})
	if err != nil {
		return "", err
	}
	if err := l.stack.Do(ctx, "start", world.Redis); err != nil {
		return "", err
	}
	arrived, err := l.arrival(ctx, nil)
	p50, p99 := percentile(during, 0.50), percentile(during, 0.99)
	was50, was99 := percentile(before, 0.50), percentile(before, 0.99)
	return fmt.Sprintf("p50 %v (%v with Redis, ratio %.2f), p99 %v (%v, ratio %.2f) of %d writes (%d); %s",
		round(p50), round(was50), ratio(p50, was50), round(p99), round(was99), ratio(p99, was99),
		len(during), len(before), arrived), err
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// flushed empties Redis in mid-stream.
func (l *lab) flushed(ctx context.Context) (string, error) {
	return l.wiped(ctx, func(ctx context.Context) error { return l.stack.flush(ctx) })
}

// replaced puts an empty Redis in the place of the one that ran.
func (l *lab) replaced(ctx context.Context) (string, error) {
	return l.wiped(ctx, func(ctx context.Context) error {
		if err := l.stack.Do(ctx, "kill", world.Redis); err != nil {
			return err
		}
		if err := l.stack.emptyRedis(); err != nil {
			return err
		}
		return l.stack.Do(ctx, "start", world.Redis)
	})
}

func (l *lab) wiped(ctx context.Context, wipe func(context.Context) error) (string, error) {
	_, err := l.under(ctx, 0, l.persist, func(ctx context.Context) error {
		for range l.cfg.Wipes {
			_ = poll.Sleep(ctx, shortly+l.moment(shortly))
			if err := wipe(ctx); err != nil {
				return err
			}
		}
		_ = poll.Sleep(ctx, shortly)
		return nil
	})
	return l.arrival(ctx, err)
}

// arrival measures until the subscriber has all that the log will hold of what
// was written until now. It passes on what went wrong before.
func (l *lab) arrival(ctx context.Context, err error) (string, error) {
	if err != nil {
		return "", err
	}
	for began := time.Now(); ; _ = poll.Sleep(ctx, between) {
		missing, err := l.missing(ctx)
		took := time.Since(began)
		switch {
		case err == nil && missing == 0:
			return fmt.Sprintf("all arrived %v after the last write", took.Round(time.Millisecond)), nil
		case took > Settle && err == nil:
			return "", fmt.Errorf("%d events have not arrived %v after the last write", missing, took.Round(time.Millisecond))
		case took > Settle:
			return "", err
		}
	}
}
