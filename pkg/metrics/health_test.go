package metrics_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/metrics"
)

func TestHealthBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := json.Marshal(metrics.New("user-service").Health()) // fails on NaN
		if err != nil {
			t.Fatal(err)
		}
		want := `{"status":"healthy","service":"user-service","metrics":{"requests":{"total":0,"errors":0},` +
			`"dependencies":{},"performance":{"avgResponseTime":0}},"timestamp":"2000-01-01T00:00:00Z"}`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
	})
}

func TestHealthFigures(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	m.Request(t.Context(), "GET", "/a", 200, 2*time.Millisecond)
	m.Request(t.Context(), "GET", "/a", 404, 2*time.Millisecond)
	m.Request(t.Context(), "GET", "/a", 503, 5*time.Millisecond)
	m.Call(t.Context(), metrics.Call{Target: "order-service", Duration: 1500 * time.Microsecond})
	m.Call(t.Context(), metrics.Call{Target: "order-service", Failed: true, Duration: 2500 * time.Microsecond})
	want := metrics.HealthMetrics{
		Requests:     metrics.RequestCounts{Total: 3, Errors: 1},
		Dependencies: map[string]metrics.DependencyStats{"order-service": {Calls: 2, Errors: 1, AvgDuration: 2}},
		Performance:  metrics.Performance{AvgResponseTime: 3},
	}
	if diff := cmp.Diff(want, m.Health().Metrics); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestUnhealthyAboveTenPercent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		good, broken int
		want         string
	}{
		{"no requests", 0, 0, metrics.Healthy},
		{"all of nine broken", 0, 9, metrics.Healthy},
		{"all of ten broken", 0, 10, metrics.Unhealthy},
		{"exactly a tenth", 9, 1, metrics.Healthy},
		{"just above a tenth", 80, 9, metrics.Unhealthy},
		{"just below a tenth", 100, 11, metrics.Healthy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := metrics.New("user-service")
				serve(t, m, 500, tt.broken)
				serve(t, m, 422, tt.good) // the caller's fault is no error of ours
				if got := m.Health().Status; got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestHealthRecoversWithTheEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("user-service")
		serve(t, m, 500, 100)
		m.Call(t.Context(), metrics.Call{Target: "order-service", Failed: true, Duration: time.Second})
		pass(9 * time.Second)
		if got := m.Health().Status; got != metrics.Unhealthy {
			t.Errorf("after 9 s: %s", got)
		}
		pass(time.Second)
		if got := m.Health().Status; got != metrics.Healthy { // nothing says that it goes on
			t.Errorf("after 10 s: %s", got)
		}
		serve(t, m, 500, 1)
		if got := m.Health().Status; got != metrics.Unhealthy {
			t.Errorf("when it goes on: %s", got)
		}
		serve(t, m, 200, 20)
		if got := m.Health().Status; got != metrics.Healthy {
			t.Errorf("when it is over: %s", got)
		}
		pass(time.Minute)
		h := m.Health()
		if h.Status != metrics.Healthy || h.Metrics.Performance.AvgResponseTime != 0 {
			t.Errorf("after 60 s: %+v", h)
		}
		if h.Metrics.Requests != (metrics.RequestCounts{Total: 121, Errors: 101}) {
			t.Errorf("totals forgot: %+v", h.Metrics.Requests)
		}
		if got := h.Metrics.Dependencies["order-service"]; got != (metrics.DependencyStats{Calls: 1, Errors: 1}) {
			t.Errorf("dependency: %+v", got)
		}
		pass(24 * time.Hour) // and the buckets are used again
		serve(t, m, 200, 10)
		serve(t, m, 500, 2)
		if got := m.Health().Status; got != metrics.Unhealthy {
			t.Errorf("a day later: %s", got)
		}
	})
}

func TestAverageWeighsAllCalls(t *testing.T) {
	t.Parallel()
	m := metrics.New("user-service")
	for range 999 {
		m.Request(t.Context(), "GET", "/a", 200, time.Millisecond)
	}
	m.Request(t.Context(), "GET", "/a", 200, 1001*time.Millisecond)
	if got := m.Health().Metrics.Performance.AvgResponseTime; got != 2 {
		t.Errorf("average %v ms, want 2", got)
	}
}

func serve(t *testing.T, m *metrics.Metrics, status, times int) {
	t.Helper()
	for range times {
		m.Request(t.Context(), "GET", "/a", status, time.Millisecond)
	}
}

// pass lets d pass on the clock of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
