package metrics

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// other stands for a label value that is none of the known ones.
const other = "_OTHER"

// latencyBuckets are those the semantic conventions advise, in seconds, with two finer
// ones below: most responses of a local service take under 5 ms.
var latencyBuckets = []float64{
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
}

// Metrics is what one process counts. Make it with [New]; all methods are safe for
// concurrent use.
type Metrics struct {
	service  string
	registry *prometheus.Registry

	served *window
	active prometheus.Gauge
	panics prometheus.Counter

	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec

	databases *prometheus.HistogramVec

	// Of calls to other services.
	calls                              *prometheus.HistogramVec
	retries, callsRefused, transitions *prometheus.CounterVec

	mu           sync.Mutex
	dependencies map[string]*window // by name
}

// New returns the metrics of the named service on their own registry, with those
// of the Go runtime and the process beside them.
func New(service string) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	factory := promauto.With(registry)
	factory.NewGauge(prometheus.GaugeOpts{
		Name: "target_info", Help: "The service behind this endpoint.",
		ConstLabels: prometheus.Labels{"service_name": service},
	}).Set(1)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	latency := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: latencyBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
	}
	return &Metrics{
		service:  service,
		registry: registry,
		served:   &window{},
		active: factory.NewGauge(prometheus.GaugeOpts{
			Name: "http_server_active_requests", Help: "Requests being served.",
		}),
		panics: factory.NewCounter(prometheus.CounterOpts{
			Name: "http_server_panics_total", Help: "Panics that handlers were recovered from.",
		}),
		requests: latency("http_server_request_duration_seconds", "Time to answer a request.",
			"http_request_method", "http_route", "http_response_status_code"),
		refused: counter("http_server_refused_requests_total", "Requests turned away before their handler ran.", "reason"),
		databases: latency("db_client_operation_duration_seconds",
			"Time Postgres took for a statement or Redis for a command; error_type is empty for a success.",
			"db_system_name", "error_type"),
		calls: latency("http_client_request_duration_seconds",
			"Time another service took for a call; error_type is empty for a success.",
			"server_address", "http_request_method", "http_response_status_class", "error_type"),
		retries: counter("http_client_retries_total",
			"Calls to another service tried again, by what had gone wrong.", "server_address", "reason"),
		callsRefused: counter("http_client_refused_total",
			"Calls and retries that this process refused itself, before the other service saw them.",
			"server_address", "reason"),
		transitions: counter("circuit_breaker_transitions_total",
			"Changes of a circuit breaker's state.", "server_address", "from", "to"),
		dependencies: map[string]*window{},
	}
}

// Registry returns the registry, for metrics of other packages.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the registry in the Prometheus and, with exemplars, the OpenMetrics
// format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Request counts a request that got status after d. The route is the
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
	observe(ctx, m.requests.WithLabelValues(Method(method), cmp.Or(route, "unmatched"), knownStatus(status)), d)
}

func observe(ctx context.Context, latency prometheus.Observer, d time.Duration) {
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

var statusClasses = [...]string{1: "1xx", "2xx", "3xx", "4xx", "5xx"}

// statusClass returns "2xx" for 200, and "" for no response.
func statusClass(status int) string {
	switch {
	case status == 0:
		return ""
	case status < 100 || status > 599:
		return other
	}
	return statusClasses[status/100]
}

func knownStatus(status int) string {
	if status < 100 || status > 599 {
		return other
	}
	return strconv.Itoa(status)
}
