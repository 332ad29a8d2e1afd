package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// TestDeadEventsAreShownAndRedriven has the admin port of a consumer with a dead event.
func TestDeadEventsAreShownAndRedriven(t *testing.T) {
	const dead = "0199aa3e-7c00-7000-8000-00000000000b"
	var redriven []string
	respond := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", respond("event_consumer_parts 4\n"))
	mux.HandleFunc("GET /events/status", respond(`{"consumer":"profile-service","offsets":[],"parked":{"dead":2}}`))
	mux.HandleFunc("GET /events/parked", respond(
		`{"items":[{"id":"`+dead+`","event":"user.created","attempts":3,"error":"<b>"}]}`))
	mux.HandleFunc("POST /events/redrive", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		redriven = append(redriven, r.Header.Get("X-Service-Token")+" "+string(body))
		fmt.Fprint(w, `{"events":2}`)
	})
	admin := httptest.NewServer(mux)
	t.Cleanup(admin.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	b := open(t, consumerAt(t, admin))

	text, _ := json.Marshal(b.first["dead"])
	want := `[{"attempts":3,"consumer":"profile-service","error":"\u003cb\u003e","event":"user.created","id":"` + dead +
		`","key":"","service":"","traceId":""}]`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("dead events (-want +got):\n%s", diff)
	}
	header := map[string]string{"X-Console-Token": b.token}
	for _, body := range []string{`{"service":"profile-service","id":"` + dead + `"}`, `{"service":"profile-service"}`} {
		if status := b.status(http.MethodPost, b.page+"/do/redrive", header, []byte(body)); status != http.StatusOK {
			t.Errorf("%s: %d", body, status)
		}
	}
	wanted := []string{"for profile-service {\"id\":\"" + dead + "\"}\n", "for profile-service {\"all\":true}\n"}
	if diff := cmp.Diff(wanted, redriven); diff != "" {
		t.Errorf("redriven (-want +got):\n%s", diff)
	}
}

func TestRefusedTokenIsShown(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(admin.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	b := open(t, consumerAt(t, admin))
	if notice, _ := b.first["notice"].(string); !strings.Contains(notice, "profile-service: 401") {
		t.Errorf("notice %q", notice)
	}
}

// consumerAt returns profile-service with this admin port.
func consumerAt(t *testing.T, s *httptest.Server) stack.Part {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	return stack.Part{Name: "profile-service", Service: "profile-service", State: stack.Ready, AdminPort: port}
}

// TestHandlersOfAnEventAreBounded: any program can claim to have handled an event.
func TestHandlersOfAnEventAreBounded(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events/log/ask", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"parts":[{"part":"a","head":{"pos":"1"},"base":{"pos":"0"}}]}`)
	})
	mux.HandleFunc("GET /events/log", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"records":[{"pos":"1","envelope":"{\"id\":\"e\",\"event\":\"user.created\"}"}]}`)
	})
	producer := httptest.NewServer(mux)
	t.Cleanup(producer.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	part := consumerAt(t, producer)
	part.URL = producer.URL
	b := open(t, part)
	for n := range 20 {
		s := newSpan(traceA, fmt.Sprintf("%016x", n+1), "", "process", otlp.Span_SPAN_KIND_CONSUMER, n, 1)
		s.Attributes = append(s.Attributes, attribute("messaging.message.id", "e"))
		b.export(export(t, fmt.Sprint("service-", n), s), nil)
	}
	event := b.snapshot()["events"].([]any)[0].(map[string]any)
	if handlers := event["handlers"].([]any); len(handlers) != 16 {
		t.Errorf("%d handlers, want 16", len(handlers))
	}
}
