package controllers_test

import (
	"net/http"
	"testing"

	"github.com/go-troika/troika/contracts"
)

// A change is made to the version that its author has seen: another person's change, a
// completed order and a new name of the user each make a new version.
func TestOnlyTheVersionSeenIsChanged(t *testing.T) {
	b := setup(t)
	user := b.join(t, "Ada")
	target := "/v2/profiles/" + user.UserID.String()
	tagOf := func() string { return b.Call(t, contracts.Gateway, "GET", target, "").Header.Get("ETag") }
	b.Refuses(t, http.StatusPreconditionRequired, "precondition_required", "PATCH", target, `{"bio": "a"}`)
	b.Refuses(t, http.StatusBadRequest, "invalid_precondition", "PATCH", target, `{"bio": "a"}`, "If-Match", "x")

	for name, change := range map[string]func(){
		"another change":  func() { b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "b"}`, "If-Match", "*") },
		"completed order": func() { deliver(t, b, contracts.OrderCompleted, newOrder(t, user.UserID, "USD", 5)) },
		"new name": func() {
			deliver(t, b, contracts.UserUpdated, contracts.UserChange{UserID: user.UserID, Email: user.Email, Name: "Ada King", Revision: 2})
		},
	} {
		seen := tagOf()
		if got := b.Call(t, contracts.Gateway, "GET", target, "", "If-None-Match", seen); got.Status != http.StatusNotModified {
			t.Errorf("unchanged: got %d", got.Status)
		}
		change()
		b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "PATCH", target, `{"bio": "c"}`, "If-Match", seen)
		if bio := b.show(t, user.UserID).Bio; bio == "c" || tagOf() == seen {
			t.Errorf("%s: bio %q, ETag %s", name, bio, tagOf())
		}
	}
	made := b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "d"}`, "If-Match", tagOf())
	if made.Status != http.StatusOK || made.Header.Get("ETag") != tagOf() || b.show(t, user.UserID).Bio != "d" {
		t.Errorf("got %d %s", made.Status, made.Body)
	}
}

// The first version of the route still works and names its end.
func TestFirstVersionOfUpdateIsDeprecated(t *testing.T) {
	b := setup(t)
	target := "/profiles/" + b.join(t, "Ada").UserID.String()
	for _, got := range []struct {
		body   string
		status int
	}{{`{"bio": "a"}`, http.StatusOK}, {`{"bio": 1}`, http.StatusBadRequest}} {
		answer := b.Call(t, contracts.Gateway, "PATCH", target, got.body)
		if h := answer.Header; answer.Status != got.status || h.Get("Deprecation") == "" || h.Get("Sunset") == "" || h.Get("Link") == "" {
			t.Errorf("%s: got %d, %v", got.body, answer.Status, h)
		}
	}
	b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "PATCH", target, `{"bio": "b"}`, "If-Match", `"x"`)
	for _, other := range []string{target, "/v2" + target} {
		if h := b.Call(t, contracts.Gateway, "GET", other, "").Header; h.Get("Deprecation") != "" {
			t.Errorf("GET %s is marked as deprecated", other)
		}
	}
}
