package httpserver_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(*gin.Context) error { return errors.New("broken") })
	w := b.do(http.MethodGet, "/health", "")
	checkHeaders(t, w.Header())
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.HasPrefix(body, `{"status":"healthy","service":"user-service","metrics":{"requests":{"total":0,"errors":0}`) {
		t.Errorf("new: %d %s", w.Code, body)
	}
	for range 20 {
		b.do(http.MethodGet, "/", "")
		b.do(http.MethodGet, "/health", "")
	}
	w = b.do(http.MethodGet, "/health", "")
	if body := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(body, `"status":"unhealthy"`) || !strings.Contains(body, `"total":20,"errors":20`) {
		t.Errorf("broken: %d %s", w.Code, body)
	}
	if w = b.do(http.MethodGet, "/livez", ""); w.Code != http.StatusOK || w.Body.String() != `{"status":"alive"}` {
		t.Errorf("livez: %d %s", w.Code, w.Body)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, httpserver.Config{})
		var down atomic.Bool
		var asked atomic.Int32
		b.Ready("database", func(context.Context) error {
			asked.Add(1)
			if down.Load() {
				return errors.New("dial tcp 10.0.0.7: refused")
			}
			return nil
		})
		b.Ready("redis", func(context.Context) error { return nil })
		expect := func(status int, body string) {
			t.Helper()
			if w := b.do(http.MethodGet, "/readyz", ""); w.Code != status || w.Body.String() != body {
				t.Errorf("readyz: %d %s, want %d %s", w.Code, w.Body, status, body)
			}
		}
		expect(http.StatusOK, `{"status":"ready"}`)
		down.Store(true)
		expect(http.StatusOK, `{"status":"ready"}`)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times within 500 ms", n)
		}
		<-time.After(500 * time.Millisecond)
		expect(http.StatusServiceUnavailable, `{"status":"not ready","failing":["database"]}`)
		<-time.After(time.Second)
		expect(http.StatusServiceUnavailable, `{"status":"not ready","failing":["database"]}`)
		down.Store(false)
		<-time.After(time.Second)
		expect(http.StatusOK, `{"status":"ready"}`)
		if got := b.log.lines(t, slog.LevelWarn); len(got) != 1 || got[0]["error"] != "dial tcp 10.0.0.7: refused" {
			t.Errorf("log %s", b.log)
		}
		b.Drain()
		expect(http.StatusServiceUnavailable, `{"status":"draining"}`)
	})
}

// TestHungCheck: one check that ignores its context neither stalls the others nor
// piles up.
func TestHungCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, httpserver.Config{})
		release := make(chan struct{})
		var started atomic.Int32
		b.Ready("hung", func(context.Context) error { started.Add(1); <-release; return nil })
		b.Ready("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		b.Ready("fine", func(context.Context) error { return nil })
		for range 3 {
			start := time.Now()
			w := b.do(http.MethodGet, "/readyz", "")
			if w.Body.String() != `{"status":"not ready","failing":["hung","slow"]}` || time.Since(start) != time.Second {
				t.Errorf("%s after %v", w.Body, time.Since(start))
			}
			<-time.After(time.Second)
		}
		if n := started.Load(); n != 1 {
			t.Errorf("a hung check was started %d times", n)
		}
		close(release)
	})
}
