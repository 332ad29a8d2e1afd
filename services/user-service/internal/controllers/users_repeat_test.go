package controllers_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

const key = "Idempotency-Key"

// Twenty requests with one key at once: there is one user, and all responses return it.
func TestRegisterWithOneKey(t *testing.T) {
	b := setup(t)
	const body = `{"email": "ada@example.com", "name": "Ada"}`
	answers := make([]apitest.Answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			for {
				answers[i] = b.Call(t, contracts.Gateway, "POST", "/users", body, key, "k")
				if answers[i].Status != http.StatusServiceUnavailable || t.Context().Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range answers {
		if a.Status != http.StatusCreated || a.Body != answers[0].Body {
			t.Errorf("got %d %s, want every answer alike: %s", a.Status, a.Body, answers[0].Body)
		}
		if a.Header.Get("Idempotent-Replayed") == "" {
			fresh++
		}
	}
	if published := b.Published(t); fresh != 1 || len(published) != 1 {
		t.Errorf("%d answers are first ones, events %v; want one each", fresh, published)
	}
	other := b.Call(t, contracts.Gateway, "POST", "/users", `{"email": "ada@example.com", "name": "Grace"}`, key, "k")
	if p := apitest.Decode[apitest.Problem](t, other, http.StatusUnprocessableEntity); p.Code != "idempotency_key_reused" {
		t.Errorf("the key with another request: %s", p.Code)
	}
}

// A key does not bring back a deleted user.
func TestKeyOfADeletedUser(t *testing.T) {
	b := setup(t)
	const body = `{"email": "ada@example.com", "name": "Ada"}`
	user := apitest.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "POST", "/users", body, key, "k"), http.StatusCreated)
	b.Call(t, contracts.Gateway, "DELETE", "/users/"+user.ID.String(), "")
	if p := apitest.Decode[apitest.Problem](t, b.Call(t, contracts.Gateway, "POST", "/users", body, key, "k"), http.StatusNotFound); p.Code != "user_not_found" {
		t.Errorf("got %s", p.Code)
	}
}
