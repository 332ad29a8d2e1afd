package controllers_test

import (
	"net/http"
	"testing"

	"github.com/go-troika/troika/contracts"
)

// An order is settled only as the client has seen it, if the client says so.
func TestOnlyTheVersionSeenIsSettled(t *testing.T) {
	for _, action := range []string{"/complete", "/cancel"} {
		t.Run(action, func(t *testing.T) {
			b := setup(t)
			placed := b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1))
			target, tag := placed.Header.Get("Location"), placed.Header.Get("ETag")
			got := b.Call(t, contracts.Gateway, "GET", target, "", "If-None-Match", tag)
			if got.Status != http.StatusNotModified || got.Header.Get("ETag") != tag {
				t.Errorf("unchanged: got %d %s", got.Status, got.Body)
			}
			b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "POST", target+action, "", "If-Match", `"x"`)
			b.Refuses(t, http.StatusBadRequest, "invalid_precondition", "POST", target+action, "", "If-Match", `x`)
			for range 2 { // a repetition succeeds, although the order has another ETag by then
				settled := b.Call(t, contracts.Gateway, "POST", target+action, "", "If-Match", tag)
				if now := settled.Header.Get("ETag"); settled.Status != http.StatusOK || now == tag {
					t.Errorf("settled: got %d, ETag %q", settled.Status, now)
				}
			}
			if got := b.Call(t, contracts.Gateway, "GET", target, "", "If-None-Match", tag); got.Status != http.StatusOK {
				t.Errorf("changed: got %d", got.Status)
			}
			if n := len(b.Published(t)); n != 2 {
				t.Errorf("%d events, want two", n)
			}
		})
	}
}
