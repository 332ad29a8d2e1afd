package controllers_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/contracts"
)

// A change with the ETag of an older version is refused and changes nothing.
func TestChangesOfOlderVersionsAreRefused(t *testing.T) {
	b := setup(t)
	created := b.Call(t, contracts.Gateway, "POST", "/users", `{"email": "ada@example.com", "name": "Ada"}`)
	target, first := created.Header.Get("Location"), created.Header.Get("ETag")
	tagOf := func() string { return b.Call(t, contracts.Gateway, "GET", target, "").Header.Get("ETag") }
	if first == "" || tagOf() != first {
		t.Fatalf("ETag %q, then %q", first, tagOf())
	}
	b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "PATCH", target, `{"name": "B"}`, "If-Match", `"x"`)
	changed := b.Call(t, contracts.Gateway, "PATCH", target, `{"name": "B"}`, "If-Match", first)
	if changed.Status != http.StatusOK || changed.Header.Get("ETag") == first || changed.Header.Get("ETag") != tagOf() {
		t.Errorf("got %d, ETag %q, want that of the new version, %q", changed.Status, changed.Header.Get("ETag"), tagOf())
	}
	repeated := b.Call(t, contracts.Gateway, "PATCH", target, `{"name": "B"}`, "If-Match", first)
	if repeated.Status != http.StatusOK || repeated.Body != changed.Body {
		t.Errorf("the repeated change: got %d %s", repeated.Status, repeated.Body)
	}
	b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "PATCH", target, `{"name": "C"}`, "If-Match", first)
	b.Refuses(t, http.StatusPreconditionFailed, "precondition_failed", "DELETE", target, "", "If-Match", first)
	b.Refuses(t, http.StatusBadRequest, "invalid_precondition", "PATCH", target, `{"name": "C"}`, "If-Match", "x")
	b.Refuses(t, http.StatusBadRequest, "invalid_precondition", "DELETE", target, "", "If-Match", "x")
	if got := b.Call(t, contracts.Gateway, "GET", target, "", "If-None-Match", tagOf()); got.Status != http.StatusNotModified || got.Body != "" {
		t.Errorf("an unchanged user: got %d %q", got.Status, got.Body)
	}
	for _, tag := range []string{tagOf(), first} { // the second time, nothing is left to delete
		if got := b.Call(t, contracts.Gateway, "DELETE", target, "", "If-Match", tag); got.Status != http.StatusNoContent {
			t.Errorf("delete: got %d %s", got.Status, got.Body)
		}
	}
	if got := len(b.Published(t)); got != 3 {
		t.Errorf("%d events, want those of the creation, one change and the deletion", got)
	}
}

func TestOneOfManyChangesToAVersionIsMade(t *testing.T) {
	b := setup(t)
	created := b.Call(t, contracts.Gateway, "POST", "/users", `{"email": "ada@example.com", "name": "Ada"}`)
	target, tag := created.Header.Get("Location"), created.Header.Get("ETag")
	statuses := make([]int, 8)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			statuses[i] = b.Call(t, contracts.Gateway, "PATCH", target, fmt.Sprintf(`{"name": "Ada %d"}`, i), "If-Match", tag).Status
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: 7}, count); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
