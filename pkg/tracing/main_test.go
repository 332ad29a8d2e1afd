package tracing_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

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

// receiver is an OTLP/HTTP endpoint that keeps what it was sent.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	paths []string
	data  []*collector.ResourceSpans
}

func newReceiver(tb testing.TB) *receiver {
	tb.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var sent collector.TracesData // the same on the wire as an export request
		if err != nil || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paths = append(r.paths, req.URL.Path)
		r.data = append(r.data, sent.GetResourceSpans()...)
	}))
	tb.Cleanup(r.Close)
	return r
}

func (r *receiver) spans() []*collector.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var spans []*collector.Span
	for _, rs := range r.data {
		for _, ss := range rs.GetScopeSpans() {
			spans = append(spans, ss.GetSpans()...)
		}
	}
	return spans
}

// exporting returns a tracer that sends to r, and the flush that ends it.
func exporting(t *testing.T, r *receiver, ratio float64) (*tracing.Tracer, func()) {
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
