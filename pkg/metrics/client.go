package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Call is the outcome of a call to another service, with all its attempts.
type Call struct {
	Target, Method string
	Status         int // 0 without a response
	// Failed is the target's failure: not that of a request which it refused, nor of a
	// caller who did not wait.
	Failed   bool
	Duration time.Duration
}

// Call counts c. The trace id in ctx becomes an exemplar, as for Request.
func (m *Metrics) Call(ctx context.Context, c Call) {
	errorType := ""
	if c.Failed {
		errorType = other
	}
	m.dependency(c.Target).add(c.Failed, c.Duration)
	observe(ctx, m.calls.WithLabelValues(c.Target, Method(c.Method), statusClass(c.Status), errorType), c.Duration)
}

// Database counts an operation of a database, "postgresql" or "redis". The errorType is a word chosen
// by the programmer, "" for an operation that did not fail.
func (m *Metrics) Database(ctx context.Context, system, errorType string, d time.Duration) {
	m.dependency(system).add(errorType != "", d)
	observe(ctx, m.databases.WithLabelValues(system, errorType), d)
}

func (m *Metrics) dependency(name string) *window {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.dependencies[name]
	if calls == nil {
		calls = &window{}
		m.dependencies[name] = calls
	}
	return calls
}

// Retry counts a call to the service target that is tried again; the reason is a word
// chosen by the programmer, such as "timeout".
func (m *Metrics) Retry(target, reason string) {
	m.retries.WithLabelValues(target, reason).Inc()
}

// CallRefused counts a call, or a retry, that this process did not make; the reason is
// a word chosen by the programmer, such as "circuit_open".
func (m *Metrics) CallRefused(target, reason string) {
	m.callsRefused.WithLabelValues(target, reason).Inc()
}

// Transition counts a change of the state of target's circuit breaker.
func (m *Metrics) Transition(target, from, to string) {
	m.transitions.WithLabelValues(target, from, to).Inc()
}

// WatchBreaker exposes the state of target's circuit breaker, "CLOSED", "OPEN" or
// "HALF_OPEN", and the time until its next trial, as they are at each scrape: half-open
// begins with time alone, without a transition. A second breaker for a target is a mistake: it panics.
func (m *Metrics) WatchBreaker(target string, state func() string, cooldown func() time.Duration) {
	labels := prometheus.Labels{"server_address": target}
	m.registry.MustRegister(breakerState{state: state, desc: prometheus.NewDesc("circuit_breaker_state",
		"1 for the state that the circuit breaker is in, 0 for the others.", []string{"state"}, labels)})
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "circuit_breaker_cooldown_seconds", Help: "Time until an open circuit breaker tries a call; else 0.",
		ConstLabels: labels,
	}, func() float64 { return cooldown().Seconds() }))
}

// breakerState collects the states of one breaker, exactly one of which is 1.
type breakerState struct {
	state func() string
	desc  *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (b breakerState) Describe(ch chan<- *prometheus.Desc) { ch <- b.desc }

// Collect implements [prometheus.Collector].
func (b breakerState) Collect(ch chan<- prometheus.Metric) {
	now := b.state()
	for _, state := range []string{"CLOSED", "OPEN", "HALF_OPEN"} {
		value := 0.0
		if state == now {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(b.desc, prometheus.GaugeValue, value, state)
	}
}
