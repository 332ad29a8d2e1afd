package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/metrics"
)

func TestRequestIsExposed(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	m.Request(t.Context(), "GET", "/users/:id", 200, 3*time.Millisecond)
	m.Request(t.Context(), "GET", "/users/:id", 200, 30*time.Millisecond)
	m.Request(t.Context(), "POST", "/users", 409, time.Second)
	m.InFlight(3)
	m.InFlight(-1)
	m.Refused("overload")
	m.Panic()
	m.Call(t.Context(), metrics.Call{Target: "order-service", Method: "GET", Status: 201, Duration: 4 * time.Millisecond})
	m.Call(t.Context(), metrics.Call{Target: "order-service", Method: "GET", Failed: true, Duration: 4 * time.Second})
	m.Database(t.Context(), "redis", "timeout", time.Second)

	wantLines(t, scrape(t, m, ""),
		`target_info{service_name="user-service"} 1`,
		`http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/users/:id",le="0.005"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/users/:id"} 2`,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="409",http_route="/users"} 1`,
		`http_server_active_requests 2`,
		`http_server_refused_requests_total{reason="overload"} 1`,
		`http_server_panics_total 1`,
		`http_client_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_class="2xx",server_address="order-service"} 1`,
		`http_client_request_duration_seconds_sum{error_type="_OTHER",http_request_method="GET",http_response_status_class="",server_address="order-service"} 4`,
		`db_client_operation_duration_seconds_count{db_system_name="redis",error_type="timeout"} 1`,
		`process_start_time_seconds `, `go_goroutines `,
	)
}

func TestStrangersCannotAddLabels(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	for i := range 1000 {
		m.Request(t.Context(), fmt.Sprintf("HACK%d", i), "", 404, time.Millisecond)
		m.Request(t.Context(), "get", "", 1000+i, time.Millisecond)
	}
	text := scrape(t, m, "")
	wantLines(t, text,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="404",http_route="unmatched"} 1000`,
		`http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="_OTHER",http_route="unmatched"} 1000`)
	if n := strings.Count(text, "http_server_request_duration_seconds_count{"); n != 2 {
		t.Errorf("%d series, want 2", n)
	}
}

func TestLatenciesAreNativeHistogramsToo(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	m.Request(t.Context(), "GET", "/users", 200, 3*time.Millisecond)
	m.Call(t.Context(), metrics.Call{Target: "order-service", Method: "GET", Status: 200, Duration: time.Millisecond})
	m.Database(t.Context(), "postgresql", "", time.Millisecond)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	native := 0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); h != nil && len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 0 {
				native++
			}
		}
	}
	if native != 3 {
		t.Errorf("%d native histograms with classic buckets, want 3", native)
	}
}

func TestExemplarOnlyOfRecordedSpans(t *testing.T) {
	t.Parallel()
	const openMetrics = "application/openmetrics-text; version=1.0.0"
	m := metrics.New("user-service")
	elsewhere := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	m.Request(elsewhere, "GET", "/users", 200, 3*time.Millisecond)
	if text := scrape(t, m, openMetrics); strings.Contains(text, "trace_id") {
		t.Error("exemplar of a span that is recorded nowhere")
	}
	ctx := recorded(t)
	m.Request(ctx, "GET", "/users", 200, 3*time.Millisecond)
	m.Call(ctx, metrics.Call{Target: "order-service", Method: "GET", Status: 200, Duration: 3 * time.Millisecond})
	m.Database(ctx, "postgresql", "", 3*time.Millisecond)
	want := fmt.Sprintf(` # {trace_id="%s"} 0.003`, trace.SpanContextFromContext(ctx).TraceID())
	if text := scrape(t, m, openMetrics); strings.Count(text, want) != 3 {
		t.Errorf("not three times %s in\n%s", want, text)
	}
	if text := scrape(t, m, ""); strings.Contains(text, "trace_id") {
		t.Error("exemplar in the classic format")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				m.Request(t.Context(), "GET", fmt.Sprint("/", n), 200+i%2, time.Millisecond)
				m.Call(t.Context(), metrics.Call{Target: fmt.Sprint("d", n%3), Failed: i == 0, Duration: time.Millisecond})
				_ = m.Health()
			}
		})
	}
	wg.Wait()
	if got := m.Health().Metrics.Requests.Total; got != 800 {
		t.Errorf("%d requests, want 800", got)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New("user-service")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		m.Request(ctx, "GET", "/users/:id", 200, time.Millisecond)
	}
}

func BenchmarkRequestParallel(b *testing.B) {
	m := metrics.New("user-service")
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Request(ctx, "GET", "/users/:id", 200, time.Millisecond)
		}
	})
}

func BenchmarkRequestSampled(b *testing.B) {
	m := metrics.New("user-service")
	ctx := recorded(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Request(ctx, "GET", "/users/:id", 200, time.Millisecond)
	}
}

// recorded returns a context with a span that is recorded.
func recorded(tb testing.TB) context.Context {
	tb.Helper()
	provider := sdktrace.NewTracerProvider()
	ctx, span := provider.Tracer("test").Start(tb.Context(), "request")
	tb.Cleanup(func() { span.End() })
	return ctx
}

func scrape(t *testing.T, m *metrics.Metrics, accept string) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
}
