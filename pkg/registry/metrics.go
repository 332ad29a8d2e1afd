package registry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// instanceStates are the states of registry_instances. Each instance is in one; available ones are healthy, or not
// checked yet.
var instanceStates = []string{"available", "ejected", "unhealthy", "foreign", "standby"}

var (
	descInstances = prometheus.NewDesc("registry_instances",
		"Known instances of a service, by state.", []string{"service", "state"}, nil)
	descEjections = prometheus.NewDesc("registry_ejections_total",
		"Times an instance was kept out after failures in a row.", []string{"service"}, nil)
	descRefused = prometheus.NewDesc("registry_refused_total",
		"Entries read from Redis that were refused: malformed, at a host that is not allowed, or too many.",
		[]string{"service"}, nil)
	descStale = prometheus.NewDesc("registry_stale",
		"1 while the latest look-up failed and the last known instances are used.", []string{"service"}, nil)
)

// collector makes metrics of what a registry believes at the time of a scrape.
type collector struct{ r *Registry }

// Describe implements [prometheus.Collector].
func (collector) Describe(out chan<- *prometheus.Desc) {
	out <- descInstances
	out <- descEjections
	out <- descRefused
	out <- descStale
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.metrics() {
		out <- m
	}
}

func (c collector) metrics() (all []prometheus.Metric) {
	add := func(desc *prometheus.Desc, kind prometheus.ValueType, value int, labels ...string) {
		all = append(all, prometheus.MustNewConstMetric(desc, kind, float64(value), labels...))
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	now := time.Now()
	for name, p := range c.r.pools {
		counts := map[string]int{}
		for _, inst := range p.members {
			counts[inst.snapshot(now).state()]++
		}
		for _, state := range instanceStates {
			add(descInstances, prometheus.GaugeValue, counts[state], name, state)
		}
		add(descEjections, prometheus.CounterValue, p.ejections, name)
		add(descRefused, prometheus.CounterValue, p.refused, name)
		stale := 0
		if p.failing.Load() {
			stale = 1
		}
		add(descStale, prometheus.GaugeValue, stale, name)
	}
	return all
}

func (i Instance) state() string {
	switch {
	case i.Health == Foreign:
		return "foreign"
	case i.Health == Unhealthy:
		return "unhealthy"
	case i.Ejected:
		return "ejected"
	case i.Standby:
		return "standby"
	default:
		return "available"
	}
}
