package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/resilience"
	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceclient"
)

const orderOne = "order-service-1"

// TestAllDown: with every instance of user-service down, order-service refuses at once,
// calls user-service rarely, places nothing, and recovers by itself afterwards.
func TestAllDown(t *testing.T) {
	b := begin(t, "all user-service instances down")
	at := b.stack.Part(orderOne)
	b.order(at, http.StatusCreated)
	b.do(driver.Kill, environment.User)
	resetter, err := resilience.ListenAndReset(b.stack.Instances(environment.User))
	b.must(err)

	const first = 6
	b.opens(resetter, at, first)
	var placed atomic.Int64
	l := resilience.Begin(t.Context(), callers, 25*time.Millisecond, func(ctx context.Context) error {
		return b.refused(ctx, at, &placed)
	})
	b.hold()
	_ = poll.Sleep(t.Context(), resilience.Cooldown*12/10) // for a trial at least
	attempts := resetter.Calls()
	counts := l.End()
	b.row.Count("refusals of 503 with Retry-After", counts)
	b.row.Within("median", counts.Percentile(0.5), 2*time.Millisecond, 100*time.Millisecond)
	b.row.Within("p99", counts.Percentile(0.99), 20*time.Millisecond, time.Second)
	factor := float64(attempts) / float64(first+counts.Calls)
	b.row.Holds(factor <= 1.25, "amplification %.3f (≤ 1.25): %d attempts", factor, attempts)

	b.must(resetter.Close())
	b.do(driver.Start, environment.User)
	b.closes(at)
	n, err := resilience.Orders(t.Context(), b.client, at, b.user.ID)
	b.must(err)
	b.row.Holds(n == 2 && placed.Load() == 0, "%d orders without a checked user (0)", n-2)
	b.end()
}

// opens places orders one after the other, all to be refused, and counts how many of them
// called user-service.
func (b *bundle) opens(resetter *resilience.Resetter, at resilience.Part, calls int) {
	b.Helper()
	last := 0
	for i := range calls {
		before := resetter.Calls()
		b.order(at, http.StatusServiceUnavailable)
		if resetter.Calls() > before {
			last = i + 1
		}
	}
	b.row.Holds(last <= 3, "open after %d calls (≤ 3)", last)
}

// closes waits until an order is placed again.
func (b *bundle) closes(at resilience.Part) {
	b.Helper()
	back := time.Now()
	b.must(poll.Until(b.Context(), settling, func() error {
		response, err := resilience.Order(b.Context(), b.client, at, b.user.ID, uuid.NewString())
		if err == nil && response.Status != http.StatusCreated {
			err = fmt.Errorf("status %d", response.Status)
		}
		return err
	}))
	b.row.Within("closed again after", time.Since(back), resilience.Cooldown*12/10, settling)
}

// order places an order at one instance and wants that status.
func (b *bundle) order(at resilience.Part, want int) {
	b.Helper()
	response, err := resilience.Order(b.Context(), b.client, at, b.user.ID, uuid.NewString())
	if err != nil || response.Status != want {
		b.Fatalf("order at %s: status %d, want %d: %s, %v", at.Name, response.Status, want, response.Body, err)
	}
}

// refused returns nil for an order that is refused with 503 and Retry-After.
func (b *bundle) refused(ctx context.Context, at resilience.Part, placed *atomic.Int64) error {
	response, err := resilience.Order(ctx, b.client, at, b.user.ID, uuid.NewString())
	if err != nil {
		return err
	}
	if response.Status == http.StatusCreated {
		placed.Add(1)
	}
	wait, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if response.Status != http.StatusServiceUnavailable || err != nil || wait < 1 {
		return fmt.Errorf("status %d, Retry-After %q: %s", response.Status, response.Header.Get("Retry-After"), response.Body)
	}
	return nil
}

// TestStormOfUnknownUsers: an unknown user is no failure of user-service.
func TestStormOfUnknownUsers(t *testing.T) {
	b := begin(t, "a storm of orders for, and lookups of, unknown users")
	at := b.stack.Part(orderOne)
	orders := resilience.Begin(t.Context(), callers, 10*time.Millisecond, func(ctx context.Context) error {
		response, err := resilience.Order(ctx, b.client, at, uuid.New(), uuid.NewString())
		if err == nil && response.Status != http.StatusUnprocessableEntity {
			err = fmt.Errorf("status %d, want 422: %s", response.Status, response.Body)
		}
		return err
	})
	lookUps := resilience.Begin(t.Context(), callers, 10*time.Millisecond, func(ctx context.Context) error {
		return b.unknown(ctx)
	})
	b.hold()
	b.row.Count("answers of 422", orders.End())
	b.row.Count("answers of 404", lookUps.End())
	b.staysClosed(at)
}

func (b *bundle) unknown(ctx context.Context) error {
	err := b.caller.LookUp(ctx, uuid.New())
	if serviceclient.StatusOf(err) == http.StatusNotFound {
		return nil
	}
	return fmt.Errorf("lookup of an unknown user: %w", err)
}

// TestStormOfHangUps: every instance of user-service hangs, every caller gives up before
// the client would. A caller that hangs up is no failure of the callee.
func TestStormOfHangUps(t *testing.T) {
	b := begin(t, "a storm of callers that hang up")
	at := b.stack.Part(orderOne)
	b.order(at, http.StatusCreated) // opens a connection, and checks the way
	b.do(driver.Pause, environment.User)
	patience := 100 * time.Millisecond
	orders := resilience.Begin(t.Context(), callers, 10*time.Millisecond, func(ctx context.Context) error {
		return hangUp(ctx, patience, func(ctx context.Context) error {
			_, err := resilience.Order(ctx, b.client, at, b.user.ID, uuid.NewString())
			return err
		})
	})
	lookUps := resilience.Begin(t.Context(), callers, 10*time.Millisecond, func(ctx context.Context) error {
		return hangUp(ctx, patience, func(ctx context.Context) error { return b.caller.LookUp(ctx, b.user.ID) })
	})
	_ = poll.Sleep(t.Context(), 1500*time.Millisecond) // less than an attempt may take
	o, l := orders.End(), lookUps.End()
	b.do(driver.Resume, environment.User)
	b.row.Count("orders given up", o)
	b.row.Count("lookups given up", l)
	b.staysClosed(at)
}

// hangUp returns nil if a call ends because its caller has given up.
func hangUp(ctx context.Context, patience time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(patience, cancel)
	defer timer.Stop()
	err := call(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("not given up: %w", err)
}

// staysClosed places an order, which an open breaker would refuse.
func (b *bundle) staysClosed(at resilience.Part) {
	b.Helper()
	response, err := resilience.Order(b.Context(), b.client, at, b.user.ID, uuid.NewString())
	closed := b.caller.Users.Breaker().State() == breaker.Closed
	b.row.Holds(err == nil && response.Status == http.StatusCreated && closed,
		"both breakers stay closed: the next order gets %d", response.Status)
	b.end()
}
