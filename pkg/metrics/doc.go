// Package metrics counts what a service was asked and what it asked of others, once for
// Prometheus and once for the service's own health answer.
//
// Names and labels are those of the OpenTelemetry semantic conventions for HTTP.
// Strangers cannot add to them: a method that HTTP does not define counts as "_OTHER",
// a path without a route as "unmatched", and past a limit new label values fold into
// "_OTHER". Recording a request takes well below a microsecond and allocates nothing,
// except for the exemplar of a sampled trace.
//
// [Metrics.Health] judges by the last minute, not by the life of the process.
package metrics
