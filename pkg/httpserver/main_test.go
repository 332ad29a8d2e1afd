package httpserver_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is a server with what it writes to.
type bundle struct {
	*httpserver.Server
	log     *journal
	metrics *metrics.Metrics
	keys    serviceauth.Keys
}

func setup(tb testing.TB, cfg httpserver.Config) *bundle {
	tb.Helper()
	cfg.Host = "127.0.0.1"
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(serviceauth.DemoSecret)}, "user-service", "test")
	if err != nil {
		tb.Fatal(err)
	}
	b := &bundle{log: &journal{}, metrics: metrics.New("user-service"), keys: keys}
	b.Server = httpserver.New(cfg, httpserver.Deps{
		Service:  "user-service",
		Log:      logging.New(b.log, "user-service", logging.NewLevels(slog.LevelDebug)),
		Tracer:   new(tracing.Tracer),
		Metrics:  b.metrics,
		Verifier: serviceauth.NewVerifier(keys, "user-service"),
	})
	return b
}

// handle adds a route.
func (b *bundle) handle(method, path string, h func(c *gin.Context) error) {
	b.Router().Handle(method, path, httpserver.Public(), httpserver.Handle(h))
}

// do serves one request; headers are names and values in turn.
func (b *bundle) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// post sends JSON.
func (b *bundle) post(target, body string) *httptest.ResponseRecorder {
	return b.do(http.MethodPost, target, body, "Content-Type", "application/json")
}

func ok(c *gin.Context) error { return httpserver.JSON(c, http.StatusOK, map[string]bool{"ok": true}) }

// answer is an error answer as its reader sees it.
type answer struct {
	Error, Type, Title, Code, Detail string
	Status                           int
	Errors                           []struct{ Field, Message string }
	RequestID, TraceID               string
}

// problem reads an error answer and checks what all of them have.
func problem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	if w.Code != status || a.Status != status || a.Code != code || a.Title != http.StatusText(status) || a.Error == "" {
		t.Errorf("answer %d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if !strings.HasSuffix(a.Type, "#"+code) {
		t.Errorf("type %q does not name %q", a.Type, code)
	}
	if a.TraceID == "" || a.TraceID != w.Header().Get("X-Trace-ID") || a.RequestID == "" || a.RequestID != w.Header().Get("X-Request-ID") {
		t.Errorf("ids %q, %q differ from headers %v", a.TraceID, a.RequestID, w.Header())
	}
	checkHeaders(t, w.Header())
	return a
}

func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for _, name := range []string{"X-Trace-ID", "X-Span-ID", "X-Request-ID", "X-Service-Name"} {
		if len(h.Values(name)) != 1 || h.Get(name) == "" {
			t.Errorf("%s: %q", name, h.Values(name))
		}
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("security headers missing: %v", h)
	}
}

// fields returns the invalid fields of an error answer as name: message.
func (a answer) fields() map[string]string {
	fields := map[string]string{}
	for _, e := range a.Errors {
		fields[e.Field] = e.Message
	}
	return fields
}

// journal is a log in memory.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// lines returns the log lines of a level.
func (j *journal) lines(t *testing.T, level slog.Level) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(j.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["level"] == level.String() {
			lines = append(lines, m)
		}
	}
	return lines
}
