package httpserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
)

var errTaken = fault.New(fault.Conflict, "email_taken", "Email is already taken")

func TestFaultBecomesProblem(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/conflict", func(*gin.Context) error {
		return fmt.Errorf("register user: %w", errTaken.With(errors.New("SQLSTATE 23505")).WithDetail("Choose another"))
	})
	b.handle(http.MethodGet, "/busy", func(*gin.Context) error {
		return fault.New(fault.Unavailable, "busy", "Try later").WithRetryAfter(1100 * time.Millisecond)
	})
	w := b.do(http.MethodGet, "/conflict", "", "X-Request-ID", "r-1")
	a := problem(t, w, http.StatusConflict, "email_taken")
	if a.Error != "Email is already taken" || a.Detail != "Choose another" || a.RequestID != "r-1" || strings.Contains(w.Body.String(), "SQL") {
		t.Errorf("answer %s", w.Body)
	}
	if got := b.log.lines(t, slog.LevelError); len(got) > 0 {
		t.Errorf("a 409 was logged as an error: %v", got)
	}
	w = b.do(http.MethodGet, "/busy", "")
	problem(t, w, http.StatusServiceUnavailable, "busy")
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q, want 2", got)
	}
}

func TestUnknownErrorStaysInside(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/users/:id", func(*gin.Context) error { return errors.New("dial tcp 10.0.0.7:5432: refused") })
	w := b.do(http.MethodGet, "/users/17?email=ann@example.com", "", "X-Request-ID", "r-1")
	a := problem(t, w, http.StatusInternalServerError, "internal_error")
	if a.Error != "Internal server error" || strings.Contains(w.Body.String(), "10.0") {
		t.Errorf("answer %s", w.Body)
	}
	lines := b.log.lines(t, slog.LevelError)
	if len(lines) != 1 {
		t.Fatalf("logged %d times: %s", len(lines), b.log)
	}
	l := lines[0]
	if l["error"] != "dial tcp 10.0.0.7:5432: refused" || l["route"] != "/users/:id" || l["status"] != 500.0 || l["request_id"] != "r-1" ||
		l["trace_id"] != strings.ReplaceAll(a.TraceID, "-", "") {
		t.Errorf("log line %v", l)
	}
	if strings.Contains(b.log.String(), "/users/17") || strings.Contains(b.log.String(), "ann@") {
		t.Errorf("log holds path or query: %s", b.log)
	}
}

func TestUnmatched(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/users", ok)
	b.handle(http.MethodPost, "/users", ok)
	for _, target := range []string{"/", "/users/", "/Users", "//users", "/users/x", "/metrics", "/debug/pprof/"} {
		problem(t, b.do(http.MethodGet, target, ""), http.StatusNotFound, "not_found")
	}
	for _, method := range []string{http.MethodPut, http.MethodOptions, http.MethodTrace, "BREW"} {
		w := b.do(method, "/users", "")
		problem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
		if got := w.Header().Get("Allow"); got != "GET, POST, HEAD" {
			t.Errorf("%s: Allow %q", method, got)
		}
	}
	w := b.do(http.MethodHead, "/users", "")
	if w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(*gin.Context) error { panic("secret plans") })
	w := b.do(http.MethodGet, "/", "", "X-Service-Token", "eyJhbGci", "Authorization", "Basic YTpi", "Cookie", "s=1",
		"User-Agent", "curl/8"+strings.Repeat(" x", 500))
	problem(t, w, http.StatusInternalServerError, "internal_error")
	if strings.Contains(w.Body.String(), "plans") {
		t.Errorf("answer %s", w.Body)
	}
	lines := b.log.lines(t, slog.LevelError)
	if len(lines) != 1 || lines[0]["error"] != "panic: secret plans" || !strings.Contains(fmt.Sprint(lines[0]["stack"]), "answers_test.go") {
		t.Errorf("log %s", b.log)
	}
	for _, secret := range []string{"eyJhbGci", "YTpi", "s=1"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("log holds a secret: %s", b.log)
		}
	}
	if agent := fmt.Sprint(lines[0]["headers"]); !strings.Contains(agent, "curl/8") || len(agent) > 300 {
		t.Errorf("headers in the log: %s", agent)
	}
	if b.do(http.MethodGet, "/livez", "").Code != http.StatusOK {
		t.Error("the server is not alive after a panic")
	}
}

// TestPanicAfterAnswerBegan: a client must not take a cut answer for a whole one.
func TestPanicAfterAnswerBegan(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error {
		c.String(http.StatusOK, "half")
		c.Writer.Flush()
		panic("broken")
	})
	server := httptest.NewServer(b)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var buf [64]byte
	for err == nil {
		_, err = resp.Body.Read(buf[:])
	}
	if !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("the body ended with %v", err)
	}
	if got := b.log.lines(t, slog.LevelError); len(got) != 1 {
		t.Errorf("log %s", b.log)
	}
}

func TestErrorAfterAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error {
		_ = ok(c)
		return errors.New("too late to say")
	})
	w := b.do(http.MethodGet, "/", "")
	if w.Code != http.StatusOK || w.Body.String() != `{"ok":true}` {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if got := b.log.lines(t, slog.LevelError); len(got) != 1 || got[0]["error"] != "too late to say" {
		t.Errorf("log %s", b.log)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	handlers := map[string]func(c *gin.Context) error{
		"/asks":     func(c *gin.Context) error { <-c.Request.Context().Done(); return c.Request.Context().Err() },
		"/wraps":    func(c *gin.Context) error { <-c.Done(); return errors.New("conn closed") },
		"/late":     func(c *gin.Context) error { <-time.After(time.Minute); return ok(c) },
		"/lateNone": func(c *gin.Context) error { <-time.After(time.Minute); return httpserver.NoContent(c) },
	}
	for path, h := range handlers {
		for header, want := range map[string]time.Duration{
			"": 10 * time.Second, "250": 250 * time.Millisecond, "99999": 10 * time.Second,
			"0": 10 * time.Second, "-5": 10 * time.Second, "5s": 10 * time.Second,
		} {
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, httpserver.Config{})
				b.handle(http.MethodGet, path, h)
				start := time.Now()
				w := b.do(http.MethodGet, path, "", "X-Request-Timeout-Ms", header)
				problem(t, w, http.StatusGatewayTimeout, "timeout")
				if took := time.Since(start); !strings.HasPrefix(path, "/late") && took != want {
					t.Errorf("%s with timeout %q took %v, want %v", path, header, took, want)
				}
				lines, status := 1, `http_response_status_code="504"`
				if want < 10*time.Second { // the caller's own impatience
					lines, status = 0, `http_response_status_code="499"`
				}
				if got := b.log.lines(t, slog.LevelWarn); len(got) != lines {
					t.Errorf("log %s", b.log)
				}
				scrape := httptest.NewRecorder()
				b.metrics.Handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				if late := strings.HasPrefix(path, "/late"); !late && !strings.Contains(scrape.Body.String(), status) {
					t.Errorf("%s with timeout %q is not counted as %s", path, header, status)
				}
			})
		}
	}
}

// TestClientGone: who hangs up is no error of the service.
func TestClientGone(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error { return c.Request.Context().Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	if w.Code != 499 || b.metrics.Health().Metrics.Requests.Errors != 0 {
		t.Errorf("status %d, health %+v", w.Code, b.metrics.Health().Metrics.Requests)
	}
	if len(b.log.lines(t, slog.LevelError))+len(b.log.lines(t, slog.LevelWarn)) > 0 {
		t.Errorf("log %s", b.log)
	}
}

// A caller that gives a request less time than it needs learns so, and nobody else
// takes the service for sick.
func TestCallersOwnDeadlineDoesNotMakeUnhealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, httpserver.Config{})
		b.handle(http.MethodGet, "/slow", func(c *gin.Context) error {
			<-c.Request.Context().Done()
			return c.Request.Context().Err()
		})
		for range 20 {
			problem(t, b.do(http.MethodGet, "/slow", "", "X-Request-Timeout-Ms", "50"), http.StatusGatewayTimeout, "timeout")
		}
		if got := b.do(http.MethodGet, "/health", "").Code; got != http.StatusOK {
			t.Errorf("/health answers %d after callers' own deadlines", got)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { problem(t, b.do(http.MethodGet, "/slow", ""), http.StatusGatewayTimeout, "timeout") })
		}
		wg.Wait()
		if got := b.do(http.MethodGet, "/health", "").Code; got != http.StatusServiceUnavailable {
			t.Errorf("/health answers %d after the server's own deadline", got)
		}
	})
}
