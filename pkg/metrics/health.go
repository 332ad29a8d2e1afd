package metrics

import (
	"maps"
	"time"
)

// The values of [Health.Status].
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
)

// Health is the answer of a service's /health.
type Health struct {
	Status    string        `json:"status"` // "healthy" or "unhealthy"
	Service   string        `json:"service"`
	Metrics   HealthMetrics `json:"metrics"`
	Timestamp time.Time     `json:"timestamp"` // UTC
}

// HealthMetrics are the figures behind a [Health]. Counts are those since the start of
// the process, averages those of the last minute, in milliseconds, 0 without calls.
type HealthMetrics struct {
	Requests     RequestCounts              `json:"requests"`
	Dependencies map[string]DependencyStats `json:"dependencies"` // by name; never nil
	Performance  Performance                `json:"performance"`
}

// RequestCounts are the requests served; errors are responses with 5xx.
type RequestCounts struct {
	Total  int64 `json:"total"`
	Errors int64 `json:"errors"`
}

// DependencyStats are the calls to one other service.
type DependencyStats struct {
	Calls       int64   `json:"calls"`
	Errors      int64   `json:"errors"`
	AvgDuration float64 `json:"avgDuration"` // ms
}

// Performance is how long requests took.
type Performance struct {
	AvgResponseTime float64 `json:"avgResponseTime"` // ms
}

// Below minRequests in the window the error rate says nothing.
const (
	minRequests  = 10
	maxErrorRate = 0.1
)

// Health judges the service: unhealthy when, of at least 10 requests in the last 60 s,
// more than 10 % got a 5xx, and so did more than 10 % of those in the
// last 10 s.
func (m *Metrics) Health() Health {
	life, recent, latest := m.served.sums()
	h := Health{
		Status:  Healthy,
		Service: m.service,
		Metrics: HealthMetrics{
			Requests:     RequestCounts{Total: life.calls, Errors: life.errors},
			Dependencies: map[string]DependencyStats{},
			Performance:  Performance{AvgResponseTime: recent.meanMillis()},
		},
		Timestamp: time.Now().UTC().Truncate(time.Millisecond),
	}
	if recent.calls >= minRequests && recent.fails() && latest.fails() {
		h.Status = Unhealthy
	}
	m.mu.Lock()
	dependencies := maps.Clone(m.dependencies)
	m.mu.Unlock()
	for name, calls := range dependencies {
		life, recent, _ := calls.sums()
		h.Metrics.Dependencies[name] = DependencyStats{
			Calls: life.calls, Errors: life.errors, AvgDuration: recent.meanMillis(),
		}
	}
	return h
}
