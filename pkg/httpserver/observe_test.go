package httpserver_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// TestStrangerCannotGrowMetrics: paths and methods are not labels.
func TestStrangerCannotGrowMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/users/:id", ok)
	text := func() string {
		w := httptest.NewRecorder()
		b.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	series := func() int { return strings.Count(text(), "http_server_request_duration_seconds_count") }
	all := func() int { return strings.Count(text(), "\n") }
	for _, method := range []string{"GET", "BREW", "PROPFIND"} {
		for _, target := range []string{"/users/1", "/users/2", "/wp-admin", "/a/b", "/users/1?x=1"} {
			b.do(method, target, "")
		}
	}
	before := all()
	for i := range 1000 {
		r := httptest.NewRequest(fmt.Sprintf("M%d", i), fmt.Sprintf("/p%d", i), http.NoBody)
		r.Host = fmt.Sprintf("h%d.example.com", i)
		b.ServeHTTP(httptest.NewRecorder(), r)
	}
	if got := all() - before; got != 0 {
		t.Errorf("1000 strangers made %d series", got)
	}
	if got, want := series(), 4; got != want {
		t.Errorf("%d series of requests, want %d: route or unmatched, by GET or other", got, want)
	}
	for _, path := range []string{"/health", "/livez", "/readyz"} {
		b.do(http.MethodGet, path, "")
	}
	if got := series(); got != 4 {
		t.Errorf("probes made %d series", got-4)
	}
}

// TestRefusalsByABreakerAreNotLogged: its transition was, and each refused request would be a line.
func TestRefusalsByABreakerAreNotLogged(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	unavailable := fault.New(fault.Unavailable, "user_service_circuit_open", "user-service is unavailable")
	b.handle(http.MethodPost, "/orders", func(*gin.Context) error { return unavailable.With(&breaker.OpenError{}) })
	b.handle(http.MethodPost, "/payments", func(*gin.Context) error { return unavailable.With(errors.New("connection refused")) })
	for range 20 {
		if w := b.do(http.MethodPost, "/orders", ""); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("status %d", w.Code)
		}
	}
	b.do(http.MethodPost, "/payments", "")
	if lines := b.log.lines(t, slog.LevelWarn); len(lines) != 1 || lines[0]["route"] != "/payments" {
		t.Errorf("%d lines, want that of the other error: %v", len(lines), lines)
	}
}

func TestSuccessIsLoggedForDebuggingOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/users/:id", ok)
	w := b.do(http.MethodGet, "/users/17?email=ann@example.com", "", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	checkHeaders(t, w.Header())
	if got := w.Header().Get("X-Trace-ID"); got != "0af76519-16cd-43dd-8448-eb211c80319c" {
		t.Errorf("X-Trace-ID %q", got)
	}
	lines := b.log.lines(t, slog.LevelDebug)
	if len(lines) != 1 || lines[0]["route"] != "/users/:id" || lines[0]["status"] != 200.0 || lines[0]["span_id"] != w.Header().Get("X-Span-ID") {
		t.Errorf("log %s", b.log)
	}
	if strings.Contains(b.log.String(), "ann@") {
		t.Errorf("log holds the query: %s", b.log)
	}
}

// TestHostileHeadersAreNotEchoed: an answer shows no id that it was not given in
// good form.
func TestHostileHeadersAreNotEchoed(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", ok)
	const evil = "<script>alert(1)</script>"
	for _, target := range []string{"/", "/missing", "/health", "/readyz"} {
		w := b.do(http.MethodGet, target, "", "X-Trace-ID", evil, "X-Request-ID", evil, "X-Span-ID", evil, "X-Service-Name", evil,
			"traceparent", evil, "tracestate", evil)
		if all := w.Body.String() + strings.Join(flat(w.Header()), " ") + b.log.String(); strings.Contains(all, "script") {
			t.Errorf("%s echoes: %s", target, all)
		}
	}
}

func flat(h http.Header) []string {
	var values []string
	for _, v := range h {
		values = append(values, v...)
	}
	return values
}

func TestSpan(t *testing.T) {
	t.Parallel()
	spans := testkit.NewSpans(t)
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: spans.URL, SampleRatio: 1}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	s := httpserver.New(httpserver.Config{}, httpserver.Deps{
		Service: "user-service", Tracer: tracer, Metrics: metrics.New("user-service"),
		Log: logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)),
	})
	s.Router().GET("/users/:id", httpserver.Public(), httpserver.Handle(func(c *gin.Context) error {
		if c.Param("id") == "2" {
			panic("broken")
		}
		return ok(c)
	}))
	for _, path := range []string{"/users/2", "/nowhere", "/health"} {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, span := range spans.All() {
		got[span.Name] = span.Attributes
		span.Attributes["failed"] = strconv.FormatBool(span.Failed)
	}
	want := map[string]map[string]string{
		"GET /users/:id": {"failed": "true", "http.route": `string_value:"/users/:id"`, "http.request.method": `string_value:"GET"`, "http.response.status_code": "int_value:500", "url.scheme": `string_value:"http"`},
		"GET":            {"failed": "false", "http.request.method": `string_value:"GET"`, "http.response.status_code": "int_value:404", "url.scheme": `string_value:"http"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestOnlyServicesDecideAboutRecording sends a sampled traceparent with and without a token.
func TestOnlyServicesDecideAboutRecording(t *testing.T) {
	t.Parallel()
	spans := testkit.NewSpans(t)
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: spans.URL, SampleRatio: 0}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, httpserver.Config{})
	s := httpserver.New(httpserver.Config{}, httpserver.Deps{
		Service: "user-service", Tracer: tracer, Metrics: metrics.New("user-service"),
		Log: logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)), Verifier: serviceauth.NewVerifier(b.keys, "user-service"),
	})
	s.Router().GET("/mine", httpserver.Callers("order-service"), httpserver.Handle(ok))
	s.Router().GET("/public", httpserver.Public(), httpserver.Handle(ok))
	get := func(path, name, token string) {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("traceparent", "00-12345678901234567890123456789012-1234567890123456-01")
		r.Header.Set(name, token)
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	get("/mine", "X-Other", "")
	get("/mine", serviceauth.Header, "forged")
	get("/public", "X-Other", "")
	get("/mine", serviceauth.Header, b.token(t, "order-service"))
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := spans.All(); len(got) != 1 || !strings.Contains(got[0].Attributes["http.response.status_code"], "200") {
		t.Errorf("recorded %+v, want the service's request only", got)
	}
}
