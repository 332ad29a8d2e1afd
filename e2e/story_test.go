package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

// soon is how long an event may take on a busy machine; it takes milliseconds.
const soon = 10 * time.Second

func TestStory(t *testing.T) {
	shared(t, func(b *bundle) {
		user := b.register()
		b.awaitProfile(user.ID, soon, func(p profile) error {
			if p.DisplayName != user.Name || p.CompletedOrders != 0 {
				return fmt.Errorf("profile is %+v", p)
			}
			return nil
		})

		order := b.place(user.ID)
		if order.Status != "pending" || order.Total != orderTotal || order.UserID != user.ID {
			b.Errorf("placed order is %+v", order)
		}
		if completed := b.complete(order.ID); completed.Status != "completed" {
			b.Errorf("completed order is %+v", completed)
		}
		b.awaitProfile(user.ID, soon, counted(1))

		if again := b.complete(order.ID); again.Status != "completed" {
			b.Errorf("order completed again is %+v", again)
		}
		b.buy(user.ID, 2)
		b.awaitProfile(user.ID, soon, counted(3))
	})
}

func TestUpdateAndDeletionReachTheProfile(t *testing.T) {
	shared(t, func(b *bundle) {
		user := b.register()
		b.awaitProfile(user.ID, soon, exists)
		name := client.Unique("grace")
		b.do(environment.User, http.MethodPatch, "/users/"+user.ID, map[string]string{"name": name})
		b.awaitProfile(user.ID, soon, func(p profile) error {
			if p.DisplayName != name {
				return fmt.Errorf("display name is %q, want %q", p.DisplayName, name)
			}
			return nil
		})

		if a := b.do(environment.User, http.MethodDelete, "/users/"+user.ID, nil); a.Status != http.StatusNoContent {
			b.Fatalf("delete: status %d: %s", a.Status, a.Body)
		}
		eventually(b, soon, func() error {
			if a := b.do(environment.Profile, http.MethodGet, "/profiles/"+user.ID, nil); a.Status != http.StatusNotFound {
				return fmt.Errorf("status %d, want 404: %s", a.Status, a.Body)
			}
			return nil
		})
	})
}

// The saga of a deletion: user-service deletes the user, order-service cancels what is
// pending, and each cancellation is published in turn.
func TestDeletionCancelsPendingOrders(t *testing.T) {
	shared(t, func(b *bundle) {
		user, other := b.register(), b.register()
		pending := []client.Order{b.place(user.ID), b.place(user.ID)}
		completed, others := b.complete(b.place(user.ID).ID), b.place(other.ID)
		b.awaitProfile(user.ID, soon, counted(1))

		if a := b.do(environment.User, http.MethodDelete, "/users/"+user.ID, nil); a.Status != http.StatusNoContent {
			b.Fatalf("delete: status %d: %s", a.Status, a.Body)
		}
		for _, order := range pending {
			eventually(b, soon, func() error { return b.statusIs(order.ID, "cancelled") })
			eventually(b, soon, func() error { return b.published(environment.Order, "order.cancelled", order.ID) })
		}
		b.must(b.statusIs(completed.ID, "completed"))
		b.must(b.statusIs(others.ID, "pending"))
		if a := b.do(environment.Order, http.MethodPost, "/orders", newOrder(user.ID)); a.Status != http.StatusUnprocessableEntity {
			b.Errorf("order of a deleted user: status %d: %s", a.Status, a.Body)
		}
	})
}

// statusIs returns an error unless the order has the status.
func (b *bundle) statusIs(orderID, status string) error {
	b.Helper()
	order := decode[client.Order](b, b.do(environment.Order, http.MethodGet, "/orders/"+orderID, nil), http.StatusOK)
	if order.Status != status {
		return fmt.Errorf("order is %s, want %s", order.Status, status)
	}
	return nil
}

// published returns an error unless the service's event log has exactly one event of that
// name and key.
func (b *bundle) published(service, event, key string) error {
	b.Helper()
	found := 0
	for _, e := range b.eventLog(service) {
		if e.Key == key && e.Event == event {
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("%d events %s of %s, want 1", found, event, key)
	}
	return nil
}

func TestTraceTravels(t *testing.T) {
	shared(t, func(b *bundle) {
		const span = "00f067aa0ba902b7"
		trace := randomHex(16)
		given := client.Header("traceparent", "00-"+trace+"-"+span+"-01")

		a := b.do(environment.User, http.MethodPost, "/users", client.NewUser(), given)
		user := decode[client.User](b, a, http.StatusCreated)
		if got := strings.ReplaceAll(a.Header.Get("X-Trace-ID"), "-", ""); got != trace {
			b.Errorf("X-Trace-ID = %q, want that of the traceparent, %s", got, trace)
		}
		if got := a.Header.Get("X-Span-ID"); got == span || len(got) != 16 {
			b.Errorf("X-Span-ID = %q, want one of the service's own", got)
		}
		b.awaitProfile(user.ID, soon, exists)
		b.awaitLog(environment.Profile, trace) // through outbox, Redis and consumer

		trace = randomHex(16)
		given = client.Header("traceparent", "00-"+trace+"-"+span+"-01")
		a = b.do(environment.Order, http.MethodPost, "/orders", newOrder(user.ID), given)
		if a.Status != http.StatusCreated {
			b.Fatalf("order: status %d: %s", a.Status, a.Body)
		}
		b.awaitLog(environment.User, trace) // through the call that asks for the user
	})
}

// awaitLog waits until a service has logged a line of the trace.
func (b *bundle) awaitLog(service, trace string) {
	b.Helper()
	eventually(b, soon, func() error {
		text, err := b.env.Logs(b.Context(), service)
		if err == nil && !strings.Contains(text, `"trace_id":"`+trace+`"`) {
			err = fmt.Errorf("%s has logged nothing of trace %s", service, trace)
		}
		return err
	})
}

func TestIdempotencyKeyReplays(t *testing.T) {
	shared(t, func(b *bundle) {
		user := b.register()
		key := client.Header("Idempotency-Key", client.Unique("key"))
		order := newOrder(user.ID)

		first := b.do(environment.Order, http.MethodPost, "/orders", order, key)
		if first.Status != http.StatusCreated {
			b.Fatalf("first: status %d: %s", first.Status, first.Body)
		}
		second := b.do(environment.Order, http.MethodPost, "/orders", order, key)
		if second.Status != first.Status || string(second.Body) != string(first.Body) {
			b.Errorf("second: %d %s\nwant the first byte for byte: %d %s", second.Status, second.Body, first.Status, first.Body)
		}

		order["currency"] = "EUR"
		other := b.do(environment.Order, http.MethodPost, "/orders", order, key)
		if other.Status != http.StatusUnprocessableEntity && other.Status != http.StatusConflict {
			b.Errorf("another order under the same key: status %d, want a refusal: %s", other.Status, other.Body)
		}
		r := b.do(environment.Order, http.MethodGet, "/orders?userId="+user.ID, nil)
		if page := decode[struct{ Items []client.Order }](b, r, http.StatusOK); len(page.Items) != 1 {
			b.Errorf("%d orders, want 1", len(page.Items))
		}
	})
}

func TestEveryServiceServesHealthAndDocs(t *testing.T) {
	shared(t, func(b *bundle) {
		stranger := client.Header("X-Service-Token", "")
		for _, service := range environment.Services {
			for path, want := range map[string]string{
				"/livez": "alive", "/readyz": "ready", "/openapi.yaml": "openapi:", "/docs": "<html",
			} {
				a := b.do(service, http.MethodGet, path, nil, stranger)
				if a.Status != http.StatusOK || !strings.Contains(string(a.Body), want) {
					b.Errorf("%s%s: %d %.200s, want 200 with %q", service, path, a.Status, a.Body, want)
				}
			}
			// After the faults of other scenarios it may be unhealthy; the format is the same.
			a := b.do(service, http.MethodGet, "/health", nil, stranger)
			for _, want := range []string{`"status":"`, `"metrics":{`, `"requests":{`, `"timestamp":"`} {
				if !strings.Contains(string(a.Body), want) {
					b.Errorf("%s/health: %d %.300s, want %s in it", service, a.Status, a.Body, want)
				}
			}
			instance := b.env.Instances(service)[0]
			// So that there is one request to count.
			_, err := b.client.Send(b.Context(), service, http.MethodGet, instance.URL+"/no-such-path", nil)
			b.must(err)
			if text := b.metrics(instance); !strings.Contains(text, "http_server_request_duration_seconds") {
				b.Errorf("%s: no latency histogram in /metrics of the admin port", service)
			}
		}
	})
}

func TestCallsReachEveryReplica(t *testing.T) {
	shared(t, func(b *bundle) {
		user := b.register()
		before := b.lookups()
		if len(before) != environment.Replicas {
			b.Fatalf("%d instances of user-service, want %d", len(before), environment.Replicas)
		}
		eventually(b, soon, func() error {
			b.place(user.ID)
			for i, n := range b.lookups() {
				if n == before[i] {
					return fmt.Errorf("instance %d of %d was asked for no user", i+1, environment.Replicas)
				}
			}
			return nil
		})
	})
}
