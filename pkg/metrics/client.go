package metrics

import "github.com/prometheus/client_golang/prometheus"

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
// "HALF_OPEN", as state returns it at each scrape: half-open begins with time alone, without
// a transition. A further watch of the same target replaces the first.
func (m *Metrics) WatchBreaker(target string, state func() string) {
	for _, each := range []string{"CLOSED", "OPEN", "HALF_OPEN"} {
		gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "circuit_breaker_state", Help: "1 for the state that the circuit breaker is in, 0 for the others.",
			ConstLabels: prometheus.Labels{"server_address": target, "state": each},
		}, func() float64 {
			if state() == each {
				return 1
			}
			return 0
		})
		m.registry.Unregister(gauge)
		m.registry.MustRegister(gauge)
	}
}
