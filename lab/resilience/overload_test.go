package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/resilience"
)

var errRefused = errors.New("refused")

// TestOverload offers one instance of order-service three times what it can do.
//
// Its capacity is the throughput of as many callers as it admits at a time, none of which
// is refused. With that many requests in progress each takes the time in which the whole
// bulkhead turns over once; its 99th percentile is the unloaded wait, which overload may
// at most double for admitted requests.
func TestOverload(t *testing.T) {
	b := begin(t, "three times the capacity offered")
	at := b.stack.Part(orderOne)
	place := func(ctx context.Context) error { return b.placeOrRefused(ctx, at) }
	lasts := max(*lasts, 1200*time.Millisecond)
	began := time.Now()
	closed := resilience.Begin(t.Context(), resilience.InFlight, 0, place)
	_ = poll.Sleep(t.Context(), lasts)
	calm := closed.End()
	capacity := float64(calm.Calls) / time.Since(began).Seconds()
	b.row.Count("orders in a closed loop", calm)

	health := resilience.Begin(t.Context(), 2, 50*time.Millisecond,
		func(ctx context.Context) error { return b.healthAnswers(ctx, at) })
	offered := resilience.Offer(t.Context(), 3*capacity, 4*resilience.InFlight, lasts, place)
	accepted, refused := offered.Split(errRefused)
	b.row.Count("health checks", health.End())
	b.row.Holds(accepted.Failed == 0, "%d offered, %d placed, %d refused with Retry-After, %d neither",
		offered.Calls, accepted.Calls-accepted.Failed, refused.Calls, accepted.Failed)
	goodput := float64(accepted.Calls) / offered.Took.Seconds()
	b.row.Measured("capacity %.0f/s, offered %.0f/s, goodput %.0f/s", capacity,
		float64(offered.Calls)/offered.Took.Seconds(), goodput)
	b.row.AtLeast("goodput of capacity", goodput/capacity, 0.8, 0.3)
	wait := calm.Percentile(0.99)
	b.row.Within("p99 of the placed", accepted.Percentile(0.99), 2*wait, 10*wait)
	b.row.Measured("unloaded wait %s, p99 of a refusal %s", resilience.Short(wait),
		resilience.Short(refused.Percentile(0.99)))
	b.end()
}

// placeOrRefused returns nil for an order that was placed, errRefused for one that was
// refused with Retry-After.
func (b *bundle) placeOrRefused(ctx context.Context, at resilience.Part) error {
	response, err := resilience.Order(ctx, b.client, at, b.user.ID, uuid.NewString())
	switch {
	case err != nil:
		return err
	case response.Status == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		return errRefused
	case response.Status != http.StatusCreated:
		return fmt.Errorf("status %d: %s", response.Status, response.Body)
	}
	return nil
}

// healthAnswers returns nil for every status: the last minute includes other tests.
func (b *bundle) healthAnswers(ctx context.Context, at resilience.Part) error {
	response, err := b.client.Send(ctx, at.Service, http.MethodGet, at.URL+"/health", nil)
	if err == nil && !strings.Contains(string(response.Body), `"service":"order-service"`) {
		err = fmt.Errorf("status %d: %s", response.Status, response.Body)
	}
	return err
}
