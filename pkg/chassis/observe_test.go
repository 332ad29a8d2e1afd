package chassis_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestOperatorChangesLevelsOfTheLog(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, append(s.environ, "LOG_LEVEL=info"), func(*chassis.Chassis) {})
	admin, token := i.admin(), s.token(serviceauth.Operator)
	for _, c := range []struct {
		body   string
		status int
		text   string
		debug  bool // whether a request is logged afterwards
	}{
		{`{"level":"loud"}`, 400, `"level"`, false},
		{`{"level":"info","packages":{"pkg/httpserver":"loud"}}`, 400, `packages`, false},
		{`{"level":"info","packages":{"pkg/httpserver":"debug"}}`, 200, `"pkg/httpserver":"debug"`, true},
		{`{"level":"info","packages":{"/pkg/events/":"debug"}}`, 200, `"pkg/events":"debug"`, false},
		{`{"level":"debug"}`, 200, `"level":"debug"`, true},
		{`{"level":"warn"}`, 200, `{"level":"warn","packages":{}}`, false},
	} {
		if status, body := admin.send(http.MethodPut, "/log/levels", token, c.body); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d %s", c.body, status, body)
		}
		before := strings.Count(i.log.String(), `"msg":"request"`)
		i.status("/nowhere")
		if logged := strings.Count(i.log.String(), `"msg":"request"`) > before; logged != c.debug {
			t.Errorf("after %s: request was logged: %v", c.body, logged)
		}
	}
	if _, body := admin.send(http.MethodGet, "/log/levels", token, ""); body != `{"level":"warn","packages":{}}` {
		t.Errorf("levels %s", body)
	}
}

// TestStoresAreDependencies reads Postgres and Redis from /health, by the work that the service does on
// its own.
func TestStoresAreDependencies(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, append(s.environ, "REGISTRY=redis"), (*chassis.Chassis).Relay)
	testkit.Eventually(t, 10*time.Second, func() string {
		all := i.Metrics.Health().Metrics.Dependencies
		for _, name := range []string{"postgresql", "redis"} {
			if d := all[name]; d.Calls == 0 || d.Errors == d.Calls || d.AvgDuration <= 0 {
				return name + " is missing"
			}
		}
		return ""
	})
}

// TestRelayLinksAllEventsOfABatch publishes in three traces at once.
func TestRelayLinksAllEventsOfABatch(t *testing.T) {
	t.Parallel()
	s, spans := newService(t), testkit.NewSpans(t)
	s.migrate()
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	i := start(t, append(s.environ, "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL), (*chassis.Chassis).Relay)
	tx := i.DB.Begin()
	for _, word := range []string{"a", "b", "c"} {
		ctx, span := i.Tracer.Start(t.Context(), "say "+word)
		if err := events.Publish(ctx, tx, spoken, word); err != nil {
			t.Fatal(err)
		}
		span.End()
	}
	if err := tx.Commit().Error; err != nil {
		t.Fatal(err)
	}
	admin := i.admin()
	admin.api = nil
	testkit.Eventually(t, 10*time.Second, func() string {
		if _, text := admin.send(http.MethodGet, "/metrics", "", ""); !strings.Contains(text, "event_relay_appended_total 3") {
			return "the events are not in Redis"
		}
		return ""
	})
	i.stop()
	published := map[string]bool{}
	var linked []string
	for _, span := range spans.All() {
		switch span.Name {
		case "publish word.spoken":
			published[span.ID] = true
		case "relay events":
			linked = append(append(linked, span.Parent), span.Links...)
		}
	}
	slices.Sort(linked)
	if len(published) != 3 || len(slices.Compact(linked)) != 3 {
		t.Errorf("published in spans %v, relayed with %v", published, linked)
	}
	for _, id := range linked {
		if !published[id] {
			t.Errorf("relayed below or linked to %s, which published nothing", id)
		}
	}
}
