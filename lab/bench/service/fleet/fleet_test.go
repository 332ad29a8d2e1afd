package fleet_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-troika/troika/lab/bench/internal/lab/labtest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/lab/bench/service/fleet"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// open returns a fleet that does not run yet.
func open(t *testing.T) *fleet.Fleet {
	t.Helper()
	l := labtest.Open(t)
	address, giveBack, err := l.LeaseRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Open(t.Context(), fleet.Servers{Lab: l, RedisURL: address}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := giveBack(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestBothSidesDoTheSame has services and floor answer the measured routes.
func TestBothSidesDoTheSame(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, name := range []string{contracts.UserService, contracts.OrderService} {
		if _, err := f.StartService(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if _, err := f.StartFloor(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	ours := journey(t, f, f.Addr)
	floor := journey(t, f, f.FloorAddr)
	if diff := cmp.Diff(ours, floor); diff != "" {
		t.Errorf("answers of floor (+) and services (-) differ:\n%s", diff)
	}
}

// journey creates and reads a user and places an order, and gives of each answer
// the fields and those values that do not change from time to time.
func journey(t *testing.T, f *fleet.Fleet, addr func(string) string) []map[string]any {
	t.Helper()
	user := call(t, f, addr, contracts.UserService, "POST", "/users", `{"email":"ada@example.com","name":"Ada"}`, http.StatusCreated)
	id, _ := user["id"].(string)
	shown := call(t, f, addr, contracts.UserService, "GET", "/users/"+id, "", http.StatusOK)
	order := call(t, f, addr, contracts.OrderService, "POST", "/orders",
		`{"userId":"`+id+`","currency":"USD","items":[{"sku":"tea","quantity":2,"unitPrice":450}]}`, http.StatusCreated)
	if shown["id"] != id || order["userId"] != id {
		t.Errorf("user %s was shown as %v and ordered as %v", id, shown["id"], order["userId"])
	}
	for _, answer := range []map[string]any{user, shown, order} {
		for _, changing := range []string{"id", "userId", "createdAt", "updatedAt"} {
			if slices.Contains(slices.Collect(maps.Keys(answer)), changing) {
				answer[changing] = "given"
			}
		}
	}
	return []map[string]any{user, shown, order}
}

func call(t *testing.T, f *fleet.Fleet, addr func(string) string, service, method, path, body string, want int) map[string]any {
	t.Helper()
	token, err := f.Token(service)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr(service)+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Service-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); resp.StatusCode != want || err != nil {
		t.Fatalf("%s %s answered %s: %s", method, path, resp.Status, text)
	}
	return answer
}
