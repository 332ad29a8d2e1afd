package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestReceiverThatIsDownIsReportedOnce(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10") // milliseconds
	var status, exports, reports atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { reports.Add(1) }))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		exports.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(server.Close)
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: server.URL, SampleRatio: 1}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	for i, now := range []int64{http.StatusBadRequest, http.StatusOK, http.StatusBadRequest} {
		status.Store(now)
		until := exports.Load() + 5
		testkit.Eventually(t, 10*time.Second, func() string {
			_, span := tracer.Start(t.Context(), "test")
			span.End()
			if exports.Load() < until {
				return "fewer than five exports"
			}
			return ""
		})
		if want := int64(i/2 + 1); reports.Load() != want {
			t.Errorf("after five exports with status %d: %d reports, want %d", now, reports.Load(), want)
		}
	}
	_ = tracer.Shutdown(t.Context())
}
