package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/testkit"
)

// edges are spans, each with its parent, of an order and its completion in one trace.
var edges = []struct{ service, name, parentService, parent string }{
	{"order-service", "POST /orders", "", ""},
	{"order-service", "GET user-service", "order-service", "POST /orders"},
	{"user-service", "GET /users/:id", "order-service", "GET user-service"},
	{"user-service", "SELECT users", "user-service", "GET /users/:id"},
	{"order-service", "INSERT orders", "order-service", "POST /orders"},
	{"order-service", "publish order.created", "order-service", "POST /orders"},
	{"order-service", "INSERT event_outbox", "order-service", "publish order.created"},
	{"order-service", "relay events", "order-service", "publish order.created"},
	{"order-service", "POST /orders/:id/complete", "", ""},
	{"order-service", "publish order.completed", "order-service", "POST /orders/:id/complete"},
	{"order-service", "relay events", "order-service", "publish order.completed"},
	{"order-service", "PIPELINE", "order-service", "relay events"},
	{"profile-service", "process order.completed", "order-service", "publish order.completed"},
	{"profile-service", "INSERT completed_orders", "profile-service", "process order.completed"},
}

// traced is a stack of local processes that exports its traces to the test.
type traced struct {
	*testing.T
	stack  *driver.Stack
	client *client.Client
	spans  *testkit.Spans
}

func startTraced(t *testing.T) *traced {
	spans := testkit.NewSpans(t)
	s := ownStack(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL, "TRACE_SAMPLE_RATIO=0")
	c := client.New(&http.Transport{}, 15*time.Second)
	t.Cleanup(c.Close)
	return &traced{t, s, c, spans}
}

func (s *traced) send(service, method, path string, body any, traceparent string) client.Response {
	s.Helper()
	r, err := s.client.Send(s.Context(), service, method, s.stack.Part(service).URL+path, body,
		client.Header("traceparent", traceparent))
	if err != nil {
		s.Fatal(err)
	}
	if r.Status >= 300 {
		s.Fatalf("%s %s: status %d: %s", method, path, r.Status, r.Body)
	}
	return r
}

// TestOrderIsOneTrace follows an order by its spans. The services sample nothing on their own, and are
// ended by SIGTERM right after the last request: no span may be lost then.
func TestOrderIsOneTrace(t *testing.T) {
	t.Parallel()
	s := startTraced(t)
	trace, unsampled := randomHex(16), "00-"+randomHex(16)+"-00f067aa0ba902b7-00"
	sampled := "00-" + trace + "-00f067aa0ba902b7-01"

	user := decodeAs[client.User](t, s.send(environment.User, http.MethodPost, "/users", client.NewUser(), unsampled))
	order := decodeAs[client.Order](t, s.send(environment.Order, http.MethodPost, "/orders", newOrder(user.ID), sampled))
	s.send(environment.Order, http.MethodPost, "/orders/"+order.ID+"/complete", nil, sampled)
	eventually(t, soon, func() error {
		r, err := s.client.Send(s.Context(), environment.Profile, http.MethodGet,
			s.stack.Part(environment.Profile).URL+"/profiles/"+user.ID, nil)
		if err != nil {
			return err
		}
		p, err := client.Parse[profile](r)
		if err != nil {
			return err
		}
		return counted(1)(p)
	})
	const reads = 500
	for range reads {
		s.send(environment.User, http.MethodGet, "/users/"+user.ID, nil, sampled)
	}
	for _, service := range environment.Services {
		if err := s.stack.Do(context.WithoutCancel(t.Context()), driver.Stop, service); err != nil {
			t.Fatal(err)
		}
	}
	s.checkEdges(trace)
	served := 0
	for _, span := range s.spans.All() {
		if span.Service == environment.User && span.Name == "GET /users/:id" {
			served++
		}
	}
	if served != reads+1 {
		t.Errorf("%d spans of %d requests were exported", served, reads+1)
	}
}

func (s *traced) checkEdges(trace string) {
	s.Helper()
	byID := map[string]testkit.Span{}
	for _, span := range s.spans.All() {
		if span.Trace != trace {
			s.Errorf("%s of %s is in another trace, %s", span.Name, span.Service, span.Trace)
		}
		byID[span.ID] = span
	}
	var all strings.Builder
	found := make([]bool, len(edges))
	for _, span := range byID {
		parent := byID[span.Parent]
		if span.Service != environment.User { // most of its spans are of the reads
			all.WriteString("\n" + span.Service + ": " + span.Name + " <- " + parent.Service + ": " + parent.Name)
		}
		for i, e := range edges {
			if e.service == span.Service && e.name == span.Name && e.parentService == parent.Service && e.parent == parent.Name {
				found[i] = true
			}
		}
	}
	for i, e := range edges {
		if !found[i] {
			s.Errorf("no span %q of %s below %q", e.name, e.service, e.parent)
		}
	}
	if s.Failed() {
		s.Log(all.String())
	}
}

func decodeAs[T any](t *testing.T, r client.Response) T {
	t.Helper()
	v, err := client.Parse[T](r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
