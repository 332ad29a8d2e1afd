package controllers_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestUnknownUser(t *testing.T) {
	b := setup(t)
	body := fmt.Sprintf(`{"userId": %q, "items": [{"sku": "a", "quantity": 1, "unitPrice": 1}]}`, uuid.New())
	for range 5 { // unknown users do not open the breaker
		b.Refuses(t, http.StatusUnprocessableEntity, "unknown_user", "POST", "/orders", body, "Idempotency-Key", "k")
	}
	if b.rows(t, "orders") != 0 || b.rows(t, "idempotency_keys") != 0 || len(b.Published(t)) != 0 {
		t.Error("an order was placed for an unknown user")
	}
	b.place(t, "Idempotency-Key", "k") // a refused request does not store the key
}

// A proxy's 404 is not user-service's answer about a user.
func TestProxysNotFoundIsNoUnknownUser(t *testing.T) {
	b := setup(t)
	b.users.proxied.Store(true)
	b.Refuses(t, http.StatusServiceUnavailable, "user_service_unavailable", "POST", "/orders", b.body(1))
}

func TestNoOrderWithoutUserService(t *testing.T) {
	b := setup(t)
	b.users.broken.Store(true)
	for n := range 6 {
		code := "user_service_unavailable"
		if n >= 3 { // three calls opened the breaker
			code = "user_service_circuit_open"
		}
		answer := b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1))
		if p := apitest.Decode[apitest.Problem](t, answer, http.StatusServiceUnavailable); p.Code != code {
			t.Errorf("call %d: got code %s, want %s", n+1, p.Code, code)
		}
		if wait, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || wait < 1 {
			t.Errorf("got Retry-After %q, want whole seconds, at least 1", answer.Header.Get("Retry-After"))
		}
	}
	if asked := b.users.asked.Load(); asked != 9 {
		t.Errorf("user-service was asked %d times, want 9 by three calls until the breaker opened", asked)
	}
	if b.rows(t, "orders") != 0 {
		t.Error("an order was placed for a user that was not checked")
	}

	b.users.broken.Store(false)
	testkit.Eventually(t, 10*cooldown, func() string {
		if got := b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1)); got.Status != http.StatusCreated {
			return got.Body
		}
		return ""
	})
}

func TestAnswerAboutAnotherUserIsNone(t *testing.T) {
	b := setup(t)
	b.users.confused.Store(true)
	b.Refuses(t, http.StatusServiceUnavailable, "user_service_unavailable", "POST", "/orders", b.body(1))
}

func TestReplay(t *testing.T) {
	b := setup(t)
	key := []string{"Idempotency-Key", "0199aa3e-7c00-7000-8000-00000000000b"}
	first := b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1), key...)
	placed := apitest.Decode[order](t, first, http.StatusCreated)
	if first.Header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer is marked as a replay")
	}

	// Later changes, and an unavailable user-service, make no difference.
	b.Call(t, contracts.Gateway, "POST", "/orders/"+placed.ID.String()+"/complete", "")
	b.users.broken.Store(true)
	asked := b.users.asked.Load()
	respelled := fmt.Sprintf(`{"items":[{"unitPrice":1999,"quantity":1,"sku":"ice-axe"}],"currency":"USD","userId":%q}`, b.users.known)
	for _, body := range []string{b.body(1), respelled} {
		again := b.Call(t, contracts.Gateway, "POST", "/orders", body, key...)
		if again.Status != http.StatusCreated || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("got %d, replayed %q; want 201, true", again.Status, again.Header.Get("Idempotent-Replayed"))
		}
		if diff := cmp.Diff(first.Body, again.Body); diff != "" {
			t.Errorf("replay (-first +again):\n%s", diff)
		}
	}
	b.Refuses(t, http.StatusUnprocessableEntity, "idempotency_key_reused", "POST", "/orders", b.body(2), key...)
	b.Refuses(t, http.StatusBadRequest, "invalid_idempotency_key", "POST", "/orders", b.body(1), append(key, key...)...)

	if b.users.asked.Load() != asked {
		t.Error("user-service was asked about a replayed order")
	}
	if n := b.rows(t, "orders"); n != 1 {
		t.Errorf("got %d orders, want 1", n)
	}
}

func TestNoKeyNoReplay(t *testing.T) {
	b := setup(t)
	if first, second := b.place(t), b.place(t); first.ID == second.ID {
		t.Error("two requests without a key placed one order")
	}
}
