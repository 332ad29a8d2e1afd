package events

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-troika/troika/pkg/tracing"
)

// Deps is what relay and consumer report to.
type Deps struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Tracer  *tracing.Tracer
}

type relayMetrics struct {
	leading, backlog, oldest                               prometheus.Gauge
	moved, appended, appendErrors, recoveries, generations prometheus.Counter
	trimmed, trimmedNeeded                                 prometheus.Counter
	lag, pending                                           *prometheus.GaugeVec
	appendSeconds                                          prometheus.Histogram
}

func newRelayMetrics(reg prometheus.Registerer) *relayMetrics {
	m := &relayMetrics{
		leading:      gauge("event_relay_leader", "Whether this instance's relay leads (0 or 1)."),
		backlog:      gauge("event_outbox_backlog", "Events committed and not yet moved to the log, as the leading relay saw them."),
		oldest:       gauge("event_outbox_oldest_seconds", "Age of the oldest of them."),
		moved:        counter("event_relay_moved_total", "Events moved from the outbox to the log."),
		appended:     counter("event_relay_appended_total", "Entries appended to Redis."),
		appendErrors: counter("event_relay_append_errors_total", "Appends that Redis did not answer."),
		recoveries:   counter("event_relay_recoveries_total", "Times a stream had to catch up with the log."),
		generations:  counter("event_relay_generations_total", "Times a stream held what the log does not know."),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "event_relay_append_seconds", Help: "Duration of one append to Redis.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 10),
		}),
	}
	m.trimmed = counter("event_stream_trimmed_total", "Entries removed from Redis because every group has acknowledged them, or over the cap.")
	m.trimmedNeeded = counter("event_stream_trimmed_needed_total", "Entries removed over the cap that a group has not acknowledged and must get from the log.")
	m.lag = groupGauge("event_stream_lag", "Events that a consumer group has not acknowledged.")
	m.pending = groupGauge("event_stream_pending", "Entries delivered to a consumer group and not acknowledged.")
	reg.MustRegister(m.trimmed, m.trimmedNeeded, m.lag, m.pending)
	reg.MustRegister(m.leading, m.backlog, m.oldest, m.moved, m.appended, m.appendErrors, m.recoveries, m.generations, m.appendSeconds)
	return m
}

// Outcomes of a handled event.
const (
	outcomeDone    = "done"    // applied
	outcomeSkipped = "skipped" // no handler here
	outcomeRepeat  = "repeat"  // delivered before
	outcomeParked  = "parked"  // waits for its next attempt, or behind one that does
	outcomeDead    = "dead"    // set aside until somebody decides
)

type consumerMetrics struct {
	events   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	parked   *prometheus.GaugeVec
	owned    prometheus.Gauge
	gaps     prometheus.Counter
	lost     prometheus.Counter
	strays   prometheus.Counter
}

func newConsumerMetrics(reg prometheus.Registerer) *consumerMetrics {
	m := &consumerMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "event_consumer_events_total", Help: "Events by what became of them.",
		}, []string{"event", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "event_handler_seconds", Help: "Duration of one handler call.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 12),
		}, []string{"event"}),
		parked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "event_parked", Help: "Events set aside: waiting for another attempt, or dead.",
		}, []string{"state"}),
		owned:  gauge("event_consumer_partitions", "Partitions that this instance reads."),
		gaps:   counter("event_consumer_gaps_total", "Times the stream lacked events, which were asked of the producer's log."),
		lost:   counter("event_consumer_lost_total", "Events that neither the stream nor the producer's log holds any more."),
		strays: counter("event_consumer_strays_total", "Stream entries that no relay wrote."),
	}
	reg.MustRegister(m.events, m.duration, m.parked, m.owned, m.gaps, m.lost, m.strays)
	return m
}

func groupGauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"partition", "consumer"})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
