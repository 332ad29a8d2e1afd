package servicebench

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/lab/bench/internal/load"
	"github.com/go-troika/troika/lab/bench/internal/servers/serverstest"
	"github.com/go-troika/troika/lab/report"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func TestServiceThatEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	s := &Service{Name: "failing", Path: os.Args[0], Args: []string{"-test.unknown"}, Addr: "127.0.0.1:1", Log: log}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "failing") ||
		!strings.Contains(err.Error(), log) {
		t.Errorf("got %v, want the name and the log", err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "-test.unknown") {
		t.Errorf("log %q, error %v", text, err)
	}
}

// tiny is too short to measure anything; it only runs everything.
var tiny = Plan{Rounds: 1, Slice: 100 * time.Millisecond, Starts: 1, Events: 2, Beside: 200 * time.Millisecond}

func TestEveryMeasurement(t *testing.T) {
	t.Parallel()
	c, err := Open(t.Context(), serverstest.Open(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &Bench{Cluster: c, Plan: tiny, Profiles: ""}
	said := 0
	lines, err := b.Run(t.Context(), func(report.Line) { said++ })
	if err != nil {
		t.Fatal(err)
	}
	if said != len(lines) || said < 20 {
		t.Errorf("%d lines were said, %d are in the result", said, len(lines))
	}
	for _, line := range lines {
		if line.Values[report.Ours] <= 0 {
			t.Errorf("%s: ours was not measured", line)
		}
	}
	if diff := cmp.Diff(b.journey(t, report.Ours), b.journey(t, report.Baseline)); diff != "" {
		t.Errorf("responses of baseline (+) and services (-) differ:\n%s", diff)
	}
}

// journey creates and reads a user and places an order, and returns the responses
// without the values that change from time to time.
func (b *Bench) journey(t *testing.T, side report.Side) []map[string]any {
	t.Helper()
	user := b.call(t, side, contracts.UserService, "POST", "/users", `{"email":"eve@example.com","name":"Eve"}`,
		http.StatusCreated)
	id, _ := user["id"].(string)
	shown := b.call(t, side, contracts.UserService, "GET", "/users/"+id, "", http.StatusOK)
	order := b.call(t, side, contracts.OrderService, "POST", "/orders",
		`{"userId":"`+id+`","currency":"USD","items":[{"sku":"tea","quantity":2,"unitPrice":450}]}`, http.StatusCreated)
	if shown["id"] != id || order["userId"] != id {
		t.Errorf("user %s was shown as %v and ordered as %v", id, shown["id"], order["userId"])
	}
	all := []map[string]any{user, shown, order}
	for _, response := range all {
		for _, changing := range []string{"id", "userId", "createdAt", "updatedAt"} {
			if _, found := response[changing]; found {
				response[changing] = "given"
			}
		}
	}
	return all
}

func (b *Bench) call(t *testing.T, side report.Side, name, method, path, body string, want int) map[string]any {
	t.Helper()
	service, headers, err := b.endpoint(side, name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := load.Dial(t.Context(), service.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	status, text, err := conn.Do(load.Request(method, path, body, headers...))
	if err != nil {
		t.Fatal(err)
	}
	var response map[string]any
	if err := json.Unmarshal(text, &response); status != want || err != nil {
		t.Fatalf("%s %s: status %d: %s", method, path, status, text)
	}
	return response
}
