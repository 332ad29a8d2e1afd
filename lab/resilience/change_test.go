package resilience_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/resilience"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// TestScale: instances come and go under load, the new ones get their share, and
// no call notices.
func TestScale(t *testing.T) {
	b := begin(t, "scale 1 → 3 → 1 under load")
	l := b.load()
	b.together(driver.Stop, one, third) // which takes two seconds
	_ = poll.Sleep(t.Context(), *lasts-2*time.Second)
	b.together(driver.Start, one, third)
	up := time.Now()
	instances := b.stack.Instances(environment.User)
	b.must(poll.Until(t.Context(), settling, func() error {
		for _, p := range instances {
			if b.caller.Attempts.First(p.Host(), up).IsZero() {
				return fmt.Errorf("%s is not called", p.Name)
			}
		}
		return nil
	}))
	served := time.Since(up)
	from := time.Now()
	_ = poll.Sleep(t.Context(), max(*lasts, 2*time.Second))
	shares := b.caller.Attempts.Shares(instances, from, time.Now())
	b.together(driver.Stop, one, third)
	_ = poll.Sleep(t.Context(), *lasts-2*time.Second)
	b.unload(l)
	b.row.Within("the new ones are called after", served, 3*time.Second, settling)
	low, high := slices.Min(shares)*3, slices.Max(shares)*3
	// On a busy machine a starved instance rightly gets less. It must get some.
	b.row.AtLeast("smallest part of a share", low, 0.8, 0.001)
	b.row.AtMost("largest", high, 1.2, 2.8)
	b.together(driver.Start, one, third)
	b.end()
}

// together does a verb to several parts at once.
func (b *bundle) together(verb string, parts ...string) {
	b.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(parts))
	for i, part := range parts {
		wg.Go(func() { errs[i] = b.stack.Do(b.Context(), verb, part) })
	}
	wg.Wait()
	for _, err := range errs {
		b.must(err)
	}
}

// rate is what all callers together send in a second.
const rate = 200

// TestRollingRestarts restarts every instance of every service in turn, as a
// deployment does, again and again, under callers of which half place orders.
func TestRollingRestarts(t *testing.T) {
	b := begin(t, fmt.Sprintf("%d rolling restarts of all services at %d requests/s", *rounds, rate))
	pace := 2 * callers * time.Second / rate
	var placed atomic.Int64
	began := time.Now()
	orders := resilience.Begin(t.Context(), callers, pace, func(ctx context.Context) error {
		err := resilience.Place(ctx, b.caller.Orders, b.user.ID)
		if err == nil {
			placed.Add(1)
		}
		return err
	})
	reads := resilience.Begin(t.Context(), callers, pace, func(ctx context.Context) error {
		return b.caller.LookUp(ctx, b.user.ID)
	})
	profiles := resilience.Begin(t.Context(), 4, 100*time.Millisecond, func(ctx context.Context) error {
		_, err := serviceclient.Get[struct{}](ctx, b.caller.Profiles, "/profiles?limit=1")
		return err
	})
	for range *rounds {
		b.restartAll()
	}
	o, r := orders.End(), reads.End()
	p := profiles.End()
	took := time.Since(began)
	b.row.Count("orders", o)
	b.row.Count("lookups", r)
	b.row.Count("profile pages", p)
	b.row.Measured("%.0f requests/s", float64(o.Calls+r.Calls+p.Calls)/took.Seconds())
	n, err := resilience.Orders(t.Context(), b.client, b.stack.Part(orderOne), b.user.ID)
	b.row.Holds(err == nil && n == int(placed.Load()), "%d orders kept of %d placed, none doubled: %v", n, placed.Load(),
		err == nil)
	b.end()
}

// restartAll restarts the services side by side, the instances of each one after
// the other.
func (b *bundle) restartAll() {
	b.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(environment.Services))
	for i, service := range environment.Services {
		wg.Go(func() { errs[i] = b.restart(service) })
	}
	wg.Wait()
	for _, err := range errs {
		b.must(err)
	}
}

func (b *bundle) restart(service string) error {
	instances := b.stack.Instances(service)
	for _, p := range instances {
		for _, verb := range []string{driver.Stop, driver.Start} {
			if err := b.stack.Do(b.Context(), verb, p.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestOneKey: fifty requests with one key, at two instances, are one order.
func TestOneKey(t *testing.T) {
	b := begin(t, "50 parallel POSTs with one key")
	const parallel = 50
	key := uuid.NewString()
	bodies := make([]string, parallel)
	at := b.stack.Instances(environment.Order)
	counts := resilience.AtOnce(parallel, func(i int) error {
		response, err := resilience.Order(t.Context(), b.client, at[i%len(at)], b.user.ID, key)
		bodies[i] = string(response.Body)
		if err == nil && response.Status != http.StatusCreated {
			err = fmt.Errorf("status %d: %s", response.Status, response.Body)
		}
		return err
	})
	b.row.Count("requests", counts)
	slices.Sort(bodies)
	bodies = slices.Compact(bodies)
	b.row.Holds(len(bodies) == 1 && strings.Contains(bodies[0], key), "%d different replies (1)", len(bodies))
	n, err := resilience.Orders(t.Context(), b.client, at[0], b.user.ID)
	b.must(err)
	b.row.Holds(n == 1, "%d orders (1)", n)
	b.end()
}
