package console

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	pollTime  = 900 * time.Millisecond // of one request to a service
	rateOver  = 5 * time.Second        // rates are averages over this time
	bodyLimit = 16 << 20
)

// reading is what one instance has counted since its start.
type reading struct {
	at                      time.Time
	served, failed, seconds float64
	calls, callsFailed      map[string]float64 // by called service
	appended, handled       float64
	backlog                 float64
	poolUsed, poolMax       float64
	breakers                map[string]breaker // by called service
}

// scrape reads the metrics of an admin port.
func scrape(ctx context.Context, admin string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		return reading{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reading{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("GET %s/metrics: %s", admin, resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return reading{}, fmt.Errorf("read the metrics of %s: %w", admin, err)
	}
	return newReading(families, time.Now()), nil
}

func newReading(families map[string]*dto.MetricFamily, now time.Time) reading {
	r := reading{
		at: now, calls: map[string]float64{}, callsFailed: map[string]float64{}, breakers: map[string]breaker{},
		appended: sum(families["event_relay_moved_total"]), backlog: sum(families["event_outbox_backlog"]),
		poolUsed: sum(families["db_pool_connections_in_use"]), poolMax: sum(families["db_pool_connections_max"]),
	}
	for labels, m := range metricsOf(families["http_server_request_duration_seconds"]) {
		if strings.HasPrefix(labels["http_route"], "/events/") {
			continue // consumers ask for the log all the time
		}
		n := float64(m.GetHistogram().GetSampleCount())
		r.served += n
		r.seconds += m.GetHistogram().GetSampleSum()
		if strings.HasPrefix(labels["http_response_status_code"], "5") {
			r.failed += n
		}
	}
	for labels, m := range metricsOf(families["event_consumer_events_total"]) {
		if labels["outcome"] == "done" {
			r.handled += m.GetCounter().GetValue()
		}
	}
	r.addCalls(families)
	return r
}

// addCalls adds what the instance has called, and the circuit breakers in between.
func (r *reading) addCalls(families map[string]*dto.MetricFamily) {
	consumes := families["event_consumer_parts"] != nil
	for labels, m := range metricsOf(families["http_client_request_duration_seconds"]) {
		if labels["http_request_method"] == http.MethodPost && consumes {
			continue // its questions to the logs of producers
		}
		target, n := labels["server_address"], float64(m.GetHistogram().GetSampleCount())
		r.calls[target] += n
		if labels["error_type"] != "" {
			r.callsFailed[target] += n
		}
	}
	cooldown := map[string]float64{}
	for labels, m := range metricsOf(families["circuit_breaker_cooldown_seconds"]) {
		cooldown[labels["server_address"]] = m.GetGauge().GetValue()
	}
	for labels, m := range metricsOf(families["circuit_breaker_state"]) {
		if target := labels["server_address"]; m.GetGauge().GetValue() == 1 {
			r.breakers[target] = breaker{Target: target, State: labels["state"], Cooldown: cooldown[target]}
		}
	}
}

// metricsOf yields the metrics of a family, which may be nil, with their labels.
func metricsOf(f *dto.MetricFamily) func(yield func(map[string]string, *dto.Metric) bool) {
	return func(yield func(map[string]string, *dto.Metric) bool) {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if !yield(labels, m) {
				return
			}
		}
	}
}

func sum(f *dto.MetricFamily) (total float64) {
	for _, m := range f.GetMetric() {
		total += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return total
}

// history has the readings of each instance over the last seconds. An instance that does
// not respond has no newest one.
type history map[string][]reading

// add appends the readings of now and drops old ones.
func (h history) add(now time.Time, newest map[string]reading) {
	for name, r := range newest {
		h[name] = append(h[name], r)
	}
	for name, all := range h {
		all = slices.DeleteFunc(all, func(r reading) bool { return now.Sub(r.at) > rateOver+time.Second })
		if h[name] = all; len(all) == 0 {
			delete(h, name)
		}
	}
}

// rate returns how much a counter of an instance grows per second. A counter that shrank
// is that of a new process.
func (h history) rate(name string, counter func(reading) float64) float64 {
	all := h[name]
	if len(all) < 2 {
		return 0
	}
	var grown float64
	for i, r := range all[1:] {
		before, after := counter(all[i]), counter(r)
		if after < before {
			before = 0
		}
		grown += after - before
	}
	return grown / max(all[len(all)-1].at.Sub(all[0].at).Seconds(), 1)
}

// targets returns the services that an instance has circuit breakers for.
func (r reading) targets() []string { return slices.Sorted(maps.Keys(r.breakers)) }
