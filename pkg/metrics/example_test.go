package metrics_test

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-troika/troika/pkg/metrics"
)

func Example() {
	m := metrics.New("user-service")

	m.Request(context.Background(), "GET", "/users/:id", 200, 2*time.Millisecond)
	m.Call(context.Background(), metrics.Call{Target: "order-service", Duration: 5 * time.Millisecond})

	// A package with figures of its own registers them beside these.
	backlog := prometheus.NewGauge(prometheus.GaugeOpts{Name: "outbox_backlog", Help: "Events not yet sent."})
	m.Registry().MustRegister(backlog)

	h := m.Health()
	fmt.Println(h.Service, "is", h.Status)
	fmt.Println(h.Metrics.Requests, h.Metrics.Performance, h.Metrics.Dependencies)
	// Output:
	// user-service is healthy
	// {1 0} {2} map[order-service:{1 0 5}]
}
