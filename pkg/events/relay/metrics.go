package relay

import "github.com/prometheus/client_golang/prometheus"

type relayMetrics struct {
	leading, backlog, oldest                                 prometheus.Gauge
	moved, appended, appendErrors, resets, trimmed, redacted prometheus.Counter
	appendSeconds                                            prometheus.Histogram
}

// newMetrics registers the relay's metrics; with nil they are kept and not shown.
func newMetrics(reg prometheus.Registerer) *relayMetrics {
	m := &relayMetrics{
		leading:      gauge("event_relay_leader", "Whether this instance's relay leads (0 or 1)."),
		backlog:      gauge("event_outbox_backlog", "Events committed and not yet moved to the log, counted up to 100,000."),
		oldest:       gauge("event_outbox_oldest_seconds", "Age of the oldest of them."),
		moved:        counter("event_relay_moved_total", "Events moved from the outbox to the log."),
		appended:     counter("event_relay_appended_total", "Entries appended to Redis."),
		appendErrors: counter("event_relay_append_errors_total", "Times Redis could not be read or appended to."),
		resets:       counter("event_relay_resets_total", "Times a stream did not match the log and was filled again."),
		trimmed:      counter("event_log_trimmed_total", "Events that retention deleted from the log."),
		redacted:     counter("event_log_redacted_total", "Events whose payload was deleted from the log with their key."),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "event_relay_append_seconds", Help: "Duration of one append to Redis.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 10),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.leading, m.backlog, m.oldest, m.moved, m.appended, m.appendErrors, m.resets, m.trimmed, m.redacted, m.appendSeconds)
	}
	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
