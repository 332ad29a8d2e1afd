package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves h and returns the address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestRequestsArriveAsMade(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL.Path, r.Header.Get("X-Name"), r.Header.Get("Content-Type"),
			body)
	})
	conn, err := load.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 { // over one connection
		status, body, err := conn.Do(load.Request("POST", "/things", `{"a":1}`, "X-Name", "value"))
		if err != nil || status != http.StatusCreated || string(body) != `POST /things value application/json {"a":1}` {
			t.Errorf("got %d %q, error %v", status, body, err)
		}
	}
	status, body, err := conn.Do(load.Request("GET", "/things", ""))
	if err != nil || status != http.StatusCreated || string(body) != "GET /things   " {
		t.Errorf("got %d %q, error %v", status, body, err)
	}
}

func TestEveryRequestIsCounted(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	addr := serve(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
	job := load.Job{Addr: addr, Status: http.StatusOK, Next: func() []byte { return load.Request("GET", "/", "") }}
	result, err := load.Run(t.Context(), job, 3, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(len(result.Latencies)); n != served.Load() || n < 3 || result.Rate() <= 0 {
		t.Errorf("counted %d of %d requests, %v a second", n, served.Load(), result.Rate())
	}
}

func TestAnotherStatusEndsTheJob(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of tea", http.StatusServiceUnavailable)
	})
	job := load.Job{Addr: addr, Status: http.StatusOK, Next: func() []byte { return load.Request("GET", "/tea", "") }}
	_, err := load.Run(t.Context(), job, 2, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "out of tea") {
		t.Errorf("got %v, want the response", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := load.Run(t.Context(), load.Job{Addr: strings.TrimPrefix(s.URL, "http://")}, 1, time.Second); err == nil {
		t.Error("no error")
	}
}
