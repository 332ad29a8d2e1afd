package consumer

import "github.com/prometheus/client_golang/prometheus"

// Outcomes of an event.
const (
	outcomeDone   = "done"   // applied
	outcomePassed = "passed" // skipped: no release of the service handles its type
	outcomeErased = "erased" // skipped: its payload was deleted with its key
	outcomeRepeat = "repeat" // taken before
	outcomeParked = "parked" // waits for its next attempt, or behind one that does
	outcomeAhead  = "ahead"  // waits for an instance that knows its type
	outcomeDead   = "dead"   // waits for an operator
)

type consumerMetrics struct {
	events                                     *prometheus.CounterVec
	duration                                   *prometheus.HistogramVec
	parked, lag, stalled                       *prometheus.GaugeVec
	owned                                      prometheus.Gauge
	pages, forged, lost, repairs, unknownParts prometheus.Counter
}

// newMetrics registers the consumer's metrics; with nil they are kept and not shown.
func newMetrics(reg prometheus.Registerer) *consumerMetrics {
	m := &consumerMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "event_consumer_events_total", Help: "Events by what became of them.",
		}, []string{"event", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "event_handler_seconds", Help: "Duration of one handler call.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 12),
		}, []string{"event"}),
		parked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "event_parked_keys", Help: "Keys with parked events: waiting for an attempt or another release, or dead.",
		}, []string{"state"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "event_consumer_lag", Help: "Events of a producer's log that this instance's parts, or parts without an owner, have not reached.",
		}, []string{"source"}),
		stalled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "event_consumer_stalled_seconds",
			Help: "How long one of these parts has had events that were not reached, without moving.",
		}, []string{"source"}),
		owned:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "event_consumer_parts", Help: "Parts that this instance reads."}),
		pages:        counter("event_consumer_pages_total", "Pages read from producers' logs because a stream lacked them."),
		forged:       counter("event_consumer_forged_entries_total", "Stream entries set aside because no relay wrote them."),
		lost:         counter("event_consumer_lost_total", "Events deleted from a producer's log before this consumer read them."),
		repairs:      counter("event_consumer_repairs_total", "Times a producer's history had changed and the consumer went back."),
		unknownParts: counter("event_consumer_unknown_parts_total", "Times a producer did not know a part that this consumer has read."),
	}
	if reg != nil {
		reg.MustRegister(m.events, m.duration, m.parked, m.lag, m.stalled, m.owned, m.pages, m.forged, m.lost, m.repairs, m.unknownParts)
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// count counts an outcome. Types without a handler share one label.
func (m *consumerMetrics) count(c *Consumer, source string, o outcome) {
	event := o.event
	if c.subs.Find(source, event) == nil {
		event = "other"
	}
	m.events.WithLabelValues(event, o.what).Inc()
}
