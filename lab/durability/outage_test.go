package durability_test

import (
	"context"
	"fmt"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
)

func (l *lab) outageWithData(ctx context.Context) (string, error) {
	return l.outage(ctx, func() error { return nil })
}

func (l *lab) outageWithoutData(ctx context.Context) (string, error) {
	return l.outage(ctx, l.stack.EmptyRedis)
}

// normally is how long writes are measured before Redis is killed.
const normally = 10 * time.Second

// outage measures writes with Redis and without. No write may fail.
func (l *lab) outage(ctx context.Context, meanwhile func() error) (string, error) {
	before, err := l.under(ctx, 0, l.create, func(ctx context.Context) error {
		_ = poll.Sleep(ctx, min(normally, *outage))
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := l.stack.Do(ctx, driver.Kill, environment.Redis); err != nil {
		return "", err
	}
	during, err := l.under(ctx, 0, l.create, func(ctx context.Context) error {
		_ = poll.Sleep(ctx, *outage)
		return meanwhile()
	})
	if err != nil {
		return "", err
	}
	if err := l.stack.Do(ctx, driver.Start, environment.Redis); err != nil {
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

// flushed flushes Redis under writers.
func (l *lab) flushed(ctx context.Context) (string, error) {
	return l.wiped(ctx, l.flush)
}

// replaced replaces Redis by an empty one.
func (l *lab) replaced(ctx context.Context) (string, error) {
	return l.wiped(ctx, func(ctx context.Context) error {
		if err := l.stack.Do(ctx, driver.Kill, environment.Redis); err != nil {
			return err
		}
		if err := l.stack.EmptyRedis(); err != nil {
			return err
		}
		return l.stack.Do(ctx, driver.Start, environment.Redis)
	})
}

func (l *lab) wiped(ctx context.Context, wipe func(context.Context) error) (string, error) {
	_, err := l.under(ctx, 0, l.createAndRename, func(ctx context.Context) error {
		for range *wipes {
			_ = poll.Sleep(ctx, shortly+l.random(shortly))
			if err := wipe(ctx); err != nil {
				return err
			}
		}
		_ = poll.Sleep(ctx, shortly)
		return nil
	})
	return l.arrival(ctx, err)
}

// arrival measures the time until the subscriber has handled all that was written until
// now. It returns an earlier error.
func (l *lab) arrival(ctx context.Context, err error) (string, error) {
	if err != nil {
		return "", err
	}
	began := time.Now()
	err = poll.Until(ctx, settleTime, func() error {
		missing, err := l.missing(ctx)
		if err == nil && missing > 0 {
			err = fmt.Errorf("%d events have not arrived", missing)
		}
		return err
	})
	return fmt.Sprintf("all arrived %v after the last write", time.Since(began).Round(time.Millisecond)), err
}
