package registry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
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
		testkit.Run(t, r.Run)
		<-time.After(time.Second)
		fail(t, r, a, 5)
		want := []string{
			`registry_ejections_total{service="user-service"} 1`,
			`registry_instances{service="user-service",state="available"} 2`,
			`registry_instances{service="user-service",state="ejected"} 1`,
			`registry_instances{service="user-service",state="foreign"} 1`,
			`registry_instances{service="user-service",state="standby"} 0`,
			`registry_instances{service="user-service",state="unhealthy"} 1`,
			`registry_refused_total{service="user-service"} 0`,
			`registry_stale{service="user-service"} 0`,
		}
		if diff := cmp.Diff(want, scrape(exposed)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

func TestOutageIsExposed(t *testing.T) {
	t.Parallel()
	client, down := outage(t)
	down.Store(true)
	exposed := prometheus.NewRegistry()
	r := quick(t, registry.Deps{Redis: client, HTTP: &http.Client{Transport: fleetOf(a)}, Metrics: exposed}, a)
	testkit.Run(t, r.Run)
	shows := func(value string) func() bool {
		return func() bool {
			return slices.Contains(scrape(exposed), `registry_stale{service="user-service"} `+value)
		}
	}
	eventually(t, "the outage shows", shows("1"))
	down.Store(false)
	eventually(t, "its end shows", shows("0"))
}

// scrape returns the lines of the metrics.
func scrape(exposed *prometheus.Registry) (lines []string) {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(exposed, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.SplitSeq(strings.TrimSpace(w.Body.String()), "\n") {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}
