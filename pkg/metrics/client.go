package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// client are the metrics of calls beside their durations.
type client struct {
	retries, refused, transitions *prometheus.CounterVec
	breakers                      *breakers
}

func newClient(registry *prometheus.Registry) client {
	c := client{
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_client_retries_total", Help: "Calls to another service tried again, by what had gone wrong.",
		}, []string{"server_address", "reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_client_refused_total",
			Help: "Calls and retries that this process refused itself, before the other service saw them.",
		}, []string{"server_address", "reason"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "circuit_breaker_transitions_total", Help: "Changes of a circuit breaker's state.",
		}, []string{"server_address", "from", "to"}),
		breakers: &breakers{
			state: prometheus.NewDesc("circuit_breaker_state",
				"1 for the state that the circuit breaker is in, 0 for the others.",
				[]string{"server_address", "state"}, nil),
			of: map[string]func() string{},
		},
	}
	registry.MustRegister(c.retries, c.refused, c.transitions, c.breakers)
	return c
}

// Retry counts a call to the service target that is tried again; the reason is a word
// chosen by the programmer, such as "timeout".
func (m *Metrics) Retry(target, reason string) {
	m.client.retries.WithLabelValues(target, reason).Inc()
}

// CallRefused counts a call, or a retry, that this process did not make; the reason is
// a word chosen by the programmer, such as "circuit_open".
func (m *Metrics) CallRefused(target, reason string) {
	m.client.refused.WithLabelValues(target, reason).Inc()
}

// Transition counts a change of the state of target's circuit breaker.
func (m *Metrics) Transition(target, from, to string) {
	m.client.transitions.WithLabelValues(target, from, to).Inc()
}

// WatchBreaker exposes the state of target's circuit breaker, "CLOSED", "OPEN" or
// "HALF_OPEN", as state tells it at each scrape. A further watch of the same target
// replaces the first.
func (m *Metrics) WatchBreaker(target string, state func() string) {
	m.client.breakers.mu.Lock()
	defer m.client.breakers.mu.Unlock()
	m.client.breakers.of[target] = state
}

// breakers is a collector, because half-open begins with time alone, without a transition.
type breakers struct {
	state *prometheus.Desc

	mu sync.Mutex
	of map[string]func() string // by target
}

var breakerStates = []string{"CLOSED", "OPEN", "HALF_OPEN"}

// Describe implements [prometheus.Collector].
func (b *breakers) Describe(out chan<- *prometheus.Desc) { out <- b.state }

// Collect implements [prometheus.Collector].
func (b *breakers) Collect(out chan<- prometheus.Metric) {
	b.mu.Lock()
	of := maps.Clone(b.of)
	b.mu.Unlock()
	for _, target := range slices.Sorted(maps.Keys(of)) {
		now := of[target]()
		for _, state := range breakerStates {
			value := 0.0
			if state == now {
				value = 1
			}
			out <- prometheus.MustNewConstMetric(b.state, prometheus.GaugeValue, value, target, state)
		}
	}
}
