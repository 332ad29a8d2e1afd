package tracing_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const traceA = "12345678901234567890123456789012"

// header builds headers from names and values in turn, keeping repeated lines.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// silent returns a tracer without an endpoint.
func silent(tb testing.TB) *tracing.Tracer {
	tb.Helper()
	tracer, err := tracing.Open(tb.Context(), tracing.Config{SampleRatio: 1}, "user-service")
	if err != nil {
		tb.Fatal(err)
	}
	return tracer
}

// exporting returns a tracer that sends to r, and the flush that ends it.
func exporting(t *testing.T, r *testkit.Spans, ratio float64) (*tracing.Tracer, func()) {
	t.Helper()
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: r.URL, SampleRatio: ratio}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	return tracer, func() {
		t.Helper()
		if err := tracer.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
