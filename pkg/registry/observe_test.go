package registry_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/go-troika/troika/pkg/registry"
)

func TestInstancesAreExposed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const d, e = "http://10.0.0.4:8081", "http://10.0.0.5:8081"
		f := fleetOf(a, b, c, d, e)
		f.set(d, refuses)
		f.set(e, says(200, `{"service":"order-service"}`))
		exposed := prometheus.NewRegistry()
		cfg := registry.Config{URLs: map[string]string{user: strings.Join([]string{a, b, c, d, e}, ",")}}
		r := newRegistry(t, cfg, registry.Deps{HTTP: &http.Client{Transport: f}, Metrics: exposed})
		run(t, r)
		<-time.After(time.Second)
		fail(t, r, a, 5)
		want := `
# HELP registry_ejections_total Times an instance was kept out after failures in a row.
# TYPE registry_ejections_total counter
registry_ejections_total{service="user-service"} 1
# HELP registry_instances Known instances of a service, by state.
# TYPE registry_instances gauge
registry_instances{service="user-service",state="available"} 2
registry_instances{service="user-service",state="ejected"} 1
registry_instances{service="user-service",state="foreign"} 1
registry_instances{service="user-service",state="standby"} 0
registry_instances{service="user-service",state="unhealthy"} 1
# HELP registry_stale 1 while the latest look-up failed and the last known instances are used.
# TYPE registry_stale gauge
registry_stale{service="user-service"} 0
`
		if err := testutil.GatherAndCompare(exposed, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

func TestOutageIsExposed(t *testing.T) {
	t.Parallel()
	client, prefix, down := outage(t)
	down.Store(true)
	cfg := quick(prefix)
	cfg.URLs = map[string]string{user: a}
	exposed := prometheus.NewRegistry()
	r := newRegistry(t, cfg, registry.Deps{Redis: client, HTTP: &http.Client{Transport: fleetOf(a)}, Metrics: exposed})
	run(t, r)
	stale := func() float64 {
		families, err := exposed.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "registry_stale" {
				return family.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	eventually(t, "the outage shows", func() bool { return stale() == 1 })
	down.Store(false)
	eventually(t, "its end shows", func() bool { return stale() == 0 })
}
