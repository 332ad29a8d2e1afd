// Package alerts runs the services under load with a Prometheus that has the rules of
// deploy/observability, sixty times as fast, and breaks one part after the other: each fault of
// docs/runbook.md fires its alert, and nothing fires without a fault. It also looks for every metric
// that a rule or a panel names. Prometheus must be on PATH.
package alerts
