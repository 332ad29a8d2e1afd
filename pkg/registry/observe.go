package registry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The states of registry_instances. Each instance is in one.
const (
	stateAvailable = "available" // healthy, or not checked yet
	stateEjected   = "ejected"
	stateUnhealthy = "unhealthy"
	stateForeign   = "foreign"
	stateStandby   = "standby"
)

var instanceStates = []string{stateAvailable, stateEjected, stateUnhealthy, stateForeign, stateStandby}

var (
	descInstances = prometheus.NewDesc("registry_instances", "Known instances of a service, by state.",
		[]string{"service", "state"}, nil)
	descEjections = prometheus.NewDesc("registry_ejections_total", "Times an instance was kept out after failures in a row.",
		[]string{"service"}, nil)
	descStale = prometheus.NewDesc("registry_stale", "1 while the latest look-up failed and the last known instances are used.",
		[]string{"service"}, nil)
)

// collector makes metrics of what a registry believes at the time of a scrape.
type collector struct{ r *Registry }

// Describe implements [prometheus.Collector].
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descInstances, descEjections, descStale} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	for _, p := range c.r.allPools() {
		counts := map[string]int{}
		for _, inst := range p.all() {
			counts[inst.stateAt(now)]++
		}
		for _, state := range instanceStates {
			out <- prometheus.MustNewConstMetric(descInstances, prometheus.GaugeValue, float64(counts[state]), p.name, state)
		}
		out <- prometheus.MustNewConstMetric(descEjections, prometheus.CounterValue, float64(p.ejections.Load()), p.name)
		stale := 0.0
		if p.failing.Load() {
			stale = 1
		}
		out <- prometheus.MustNewConstMetric(descStale, prometheus.GaugeValue, stale, p.name)
	}
}

func (i *instance) stateAt(now time.Time) string {
	switch {
	case i.is(Foreign):
		return stateForeign
	case i.is(Unhealthy):
		return stateUnhealthy
	case i.ejected(now):
		return stateEjected
	case i.origin() == standby:
		return stateStandby
	default:
		return stateAvailable
	}
}
