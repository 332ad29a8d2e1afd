package controllers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestIdentities(t *testing.T) {
	b := setup(t)
	b.Identities(t, func(t testing.TB) (uuid.UUID, map[string]string) {
		return b.users.known, map[string]string{"id": b.place(t).ID.String()}
	}, contracts.Callers()...)
}

// A person orders without naming themselves, and is shown only their own orders.
func TestPeopleHaveTheirOwnOrders(t *testing.T) {
	b := setup(t)
	ada, bob := b.users.known, uuid.New()
	b.place(t)
	if got := b.users.onBehalfOf.Load(); got != uuid.Nil {
		t.Errorf("user-service was called on behalf of %s by a service's request", got)
	}
	const body = `{"items": [{"sku": "ice-axe", "quantity": 1, "unitPrice": 1999}]}`
	placed := apitest.Decode[order](t, b.CallAs(t, ada, "POST", "/orders", body), http.StatusCreated)
	if got := b.users.onBehalfOf.Load(); got != ada {
		t.Errorf("user-service was called on behalf of %s, want %s", got, ada)
	}
	if placed.UserID != ada {
		t.Errorf("the order is of %s, want %s", placed.UserID, ada)
	}
	for user, want := range map[uuid.UUID]int{ada: 2, bob: 0} {
		for _, query := range []string{"", "?userId=" + ada.String()} {
			page := apitest.Decode[struct{ Items []order }](t, b.CallAs(t, user, "GET", "/orders"+query, ""), http.StatusOK)
			if len(page.Items) != want {
				t.Errorf("%s: %d orders, want %d", query, len(page.Items), want)
			}
		}
	}
	// What does not exist looks the same as what belongs to another.
	others := b.CallAs(t, bob, "GET", "/orders/"+placed.ID.String(), "")
	none := b.CallAs(t, bob, "GET", "/orders/"+uuid.NewString(), "")
	if a, n := code(t, others), code(t, none); a != "order_not_found" || n != a {
		t.Errorf("got %s for another's order, %s for none", a, n)
	}
	named := fmt.Sprintf(`{"userId": %q, "items": [{"sku": "a", "quantity": 1, "unitPrice": 1}]}`, ada)
	if got := b.CallAs(t, bob, "POST", "/orders", named); code(t, got) != "unknown_user" {
		t.Errorf("an order for another: %d %s", got.Status, got.Body)
	}
	b.Refuses(t, http.StatusBadRequest, "validation_failed", "POST", "/orders", body) // a service names the user
}

// The breaker of the calls for users does not stop the reading of the keys of access tokens, and
// that does not hide its state.
func TestOpenBreakerLeavesPeopleKnown(t *testing.T) {
	b := setup(t)
	b.users.broken.Store(true)
	for range 3 {
		b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1))
	}
	b.Refuses(t, http.StatusServiceUnavailable, "user_service_circuit_open", "POST", "/orders", b.body(1))
	if got := b.CallAs(t, b.users.known, "GET", "/orders", ""); got.Status != http.StatusOK {
		t.Errorf("a person's orders: %d %s", got.Status, got.Body)
	}
	w := httptest.NewRecorder()
	b.Metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), `circuit_breaker_state{server_address="user-service",state="OPEN"} 1`) {
		t.Error("the metrics do not show the open breaker")
	}
}

// One key in the hands of two people, and of a service, is three keys.
func TestKeysBelongToPeople(t *testing.T) {
	b := setup(t)
	key := []string{"Idempotency-Key", "k"}
	first := apitest.Decode[order](t, b.CallAs(t, b.users.known, "POST", "/orders", b.body(1), key...), http.StatusCreated)
	again := apitest.Decode[order](t, b.CallAs(t, b.users.known, "POST", "/orders", b.body(1), key...), http.StatusCreated)
	service := b.place(t, key...)
	if first.ID != again.ID || first.ID == service.ID {
		t.Errorf("got %s, %s and %s of the service; want the first two equal", first.ID, again.ID, service.ID)
	}
	// The key is new to another person, whom the fake user-service does not know.
	own := `{"items": [{"sku": "ice-axe", "quantity": 1, "unitPrice": 1999}]}`
	if got := b.CallAs(t, uuid.New(), "POST", "/orders", own, key...); code(t, got) != "unknown_user" {
		t.Errorf("another person with the key: %d %s", got.Status, got.Body)
	}
}

func code(t *testing.T, a apitest.Answer) string {
	t.Helper()
	return apitest.Decode[apitest.Problem](t, a, a.Status).Code
}

// A person cannot lock another's order: it is refused while the row is locked, and so without a lock.
func TestAnothersOrderIsRefusedWithoutALock(t *testing.T) {
	b := setup(t)
	id := b.place(t).ID
	tx := b.Data.Gorm.Begin()
	t.Cleanup(func() { tx.Rollback() })
	if err := tx.Exec("SELECT FROM orders WHERE id = ? FOR UPDATE", id).Error; err != nil {
		t.Fatal(err)
	}
	if got := b.CallAs(t, uuid.New(), "POST", "/orders/"+id.String()+"/cancel", ""); code(t, got) != "order_not_found" {
		t.Errorf("another's order: %d %s", got.Status, got.Body)
	}
	tx.Rollback()
	if got := b.CallAs(t, b.users.known, "POST", "/orders/"+id.String()+"/cancel", ""); got.Status != http.StatusOK {
		t.Errorf("the own order: %d %s", got.Status, got.Body)
	}
}
