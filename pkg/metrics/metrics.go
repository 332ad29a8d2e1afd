package metrics

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// other stands for a label value that is none of the known ones.
const other = "_OTHER"

// Metrics is what one process counts. Make it with [New]; all methods are safe for
// concurrent use.
type Metrics struct {
	service  string
	registry *prometheus.Registry

	served *window
	active prometheus.Gauge
	panics prometheus.Counter

	requests *prometheus.HistogramVec
	calls    *prometheus.HistogramVec // to other services
	refused  *prometheus.CounterVec
	client   client

	mu           sync.Mutex
	dependencies map[string]*window // by name
}

// New returns the metrics of the named service on their own registry, with those
// of the Go runtime and the process beside them.
func New(service string) *Metrics {
	m := &Metrics{service: service, registry: prometheus.NewRegistry(), served: &window{}, dependencies: map[string]*window{}}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "target_info", Help: "The service behind this endpoint.",
		ConstLabels: prometheus.Labels{"service_name": service},
	})
	info.Set(1)
	m.active = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "http_server_active_requests", Help: "Requests being served.",
	})
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "http_server_panics_total", Help: "Panics that handlers were recovered from.",
	})
	m.registry.MustRegister(info, m.active, m.panics)

	m.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_server_request_duration_seconds", Help: "Time to answer a request.", Buckets: latencyBuckets(),
	}, []string{"http_request_method", "http_route", "http_response_status_code"})
	m.calls = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_client_request_duration_seconds",
		Help:    "Time another service took for a call; error_type is empty for a success.",
		Buckets: latencyBuckets(),
	}, []string{"server_address", "error_type"})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_server_refused_requests_total", Help: "Requests turned away before their handler ran.",
	}, []string{"reason"})
	m.registry.MustRegister(m.requests, m.calls, m.refused)
	m.client = newClient(m.registry)
	return m
}

// Registry returns the registry, for metrics of other packages.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the registry in the Prometheus and, with exemplars, the OpenMetrics
// format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Request counts a request that was answered with status after d. The route is the
// template ("/users/:id"), "" when none matched. A status of 500 and above counts as
// an error. The trace id in ctx becomes an exemplar if its span is recorded here: a trace
// that only others sampled cannot be looked up where this service's spans go.
func (m *Metrics) Request(ctx context.Context, method, route string, status int, d time.Duration) {
	m.request(ctx, method, route, status, status >= 500, d)
}

// Excused is Request for an answer that says nothing about the service's health: its
// caller did not wait, or was turned away because others are served.
func (m *Metrics) Excused(ctx context.Context, method, route string, status int, d time.Duration) {
	m.request(ctx, method, route, status, false, d)
}

func (m *Metrics) request(ctx context.Context, method, route string, status int, failed bool, d time.Duration) {
	m.served.add(failed, d)
	latency := m.requests.WithLabelValues(Method(method), knownRoute(route), knownStatus(status))
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() || !span.SpanContext().IsSampled() {
		latency.Observe(d.Seconds())
		return
	}
	latency.(prometheus.ExemplarObserver).ObserveWithExemplar(d.Seconds(),
		prometheus.Labels{"trace_id": span.SpanContext().TraceID().String()})
}

// InFlight adds delta to the number of requests being served.
func (m *Metrics) InFlight(delta int) { m.active.Add(float64(delta)) }

// Refused counts a request turned away before its handler ran; the reason is a word
// chosen by the programmer, such as "overload".
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Panic counts a panic that was recovered from.
func (m *Metrics) Panic() { m.panics.Inc() }

// Dependency counts a call to another service, which took d.
func (m *Metrics) Dependency(name string, failed bool, d time.Duration) {
	m.dependency(name).add(failed, d)
	errorType := ""
	if failed {
		errorType = other
	}
	m.calls.WithLabelValues(name, errorType).Observe(d.Seconds())
}

func (m *Metrics) dependency(name string) *window {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.dependencies[name]
	if !ok {
		w = &window{}
		m.dependencies[name] = w
	}
	return w
}

// latencyBuckets are those the semantic conventions advise, in seconds, with two finer
// ones below: most responses of a local service take under 5 ms.
func latencyBuckets() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// Method returns method if it is one of RFC 9110 or RFC 5789, otherwise "_OTHER": clients
// cannot add label values.
func Method(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return other
}

func knownRoute(route string) string {
	if route == "" {
		return "unmatched"
	}
	return route
}

func knownStatus(status int) string {
	if status < 100 || status > 599 {
		return other
	}
	return strconv.Itoa(status)
}
