package serviceclient_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// exposed checks that b's metrics have the lines.
func exposed(t *testing.T, b *bundle, lines ...string) {
	t.Helper()
	text := scraped(b)
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func scraped(b *bundle) string {
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestBreakerOfTheBackgroundIsNotInTheMetrics: an alert about it would be about no request.
func TestBreakerOfTheBackgroundIsNotInTheMetrics(t *testing.T) {
	t.Parallel()
	cfg := serviceclient.Config{Retries: -1, Background: true, Breaker: breaker.Config{Failures: 1}}
	b := setup(t, cfg, dead(t))
	if _, err := get(t, b, "/"); err == nil || b.Breaker().State() != breaker.Open {
		t.Errorf("%v; the breaker is %s, want it open", err, b.Breaker().State())
	}
	for _, line := range b.log.all() {
		if line != "" {
			t.Errorf("the log has %s", line)
		}
	}
	if text := scraped(b); !strings.Contains(text, "http_client_request_duration_seconds_count") ||
		strings.Contains(text, "circuit_breaker") {
		t.Errorf("the metrics have the breaker:\n%s", text)
	}
}

func TestBreakerIsObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(n int, _ *http.Request) (*http.Response, error) {
			if n <= 2 {
				return answer(500), nil
			}
			return answer(200), nil
		}}
		cfg := serviceclient.Config{Retries: -1, Breaker: breaker.Config{Failures: 2, Cooldown: 30 * time.Second, Jitter: -1}}
		b := setupOver(t, s, cfg, "http://a:1")
		exposed(t, b, `circuit_breaker_state{server_address="user-service",state="CLOSED"} 1`)
		for range 5 {
			_, _ = get(t, b, "/")
		}
		exposed(t, b,
			`circuit_breaker_state{server_address="user-service",state="CLOSED"} 0`,
			`circuit_breaker_state{server_address="user-service",state="OPEN"} 1`,
			`circuit_breaker_cooldown_seconds{server_address="user-service"} 30`,
			`http_client_refused_total{reason="circuit_open",server_address="user-service"} 3`)
		<-time.After(30 * time.Second)
		exposed(t, b, `circuit_breaker_state{server_address="user-service",state="HALF_OPEN"} 1`)
		if _, err := get(t, b, "/"); err != nil {
			t.Fatal(err)
		}
		exposed(t, b,
			`circuit_breaker_state{server_address="user-service",state="CLOSED"} 1`,
			`circuit_breaker_transitions_total{from="CLOSED",server_address="user-service",to="OPEN"} 1`,
			`circuit_breaker_transitions_total{from="OPEN",server_address="user-service",to="HALF_OPEN"} 1`,
			`circuit_breaker_transitions_total{from="HALF_OPEN",server_address="user-service",to="CLOSED"} 1`)

		var told []string
		for _, line := range b.log.all() {
			if _, transition, ok := strings.Cut(line, `msg="circuit breaker `); ok {
				told = append(told, strings.Fields(line)[1]+" "+transition)
			}
		}
		want := []string{
			`level=WARN OPEN" target=user-service from=CLOSED`,
			`level=INFO HALF_OPEN" target=user-service from=OPEN`,
			`level=INFO CLOSED" target=user-service from=HALF_OPEN`,
		}
		if strings.Join(told, "\n") != strings.Join(want, "\n") {
			t.Errorf("log lines:\n%s", strings.Join(told, "\n"))
		}
	})
}

func TestRetriesAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{Breaker: steady}, serve(t, reply(503, "")))
	for range 12 { // the reserve pays for 20 retries of these 24, and the calls for one more
		_, _ = get(t, b, "/")
	}
	exposed(t, b,
		`http_client_retries_total{reason="status",server_address="user-service"} 21`,
		`http_client_refused_total{reason="retry_budget",server_address="user-service"} 2`)

	b = setup(t, serviceclient.Config{Breaker: steady, Retries: 1}, dead(t))
	_, _ = get(t, b, "/")
	exposed(t, b, `http_client_retries_total{reason="dial",server_address="user-service"} 1`)

	b = setup(t, serviceclient.Config{Breaker: steady, Retries: 1}, serve(t, raw("")))
	_, _ = get(t, b, "/")
	exposed(t, b, `http_client_retries_total{reason="transport",server_address="user-service"} 1`)

	b = setup(t, serviceclient.Config{Breaker: steady, Retries: 1, AttemptTimeout: 50 * time.Millisecond}, serve(t, hang))
	_, _ = get(t, b, "/")
	exposed(t, b, `http_client_retries_total{reason="timeout",server_address="user-service"} 1`)
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{})
	_, _ = get(t, b, "/")
	exposed(t, b, `http_client_refused_total{reason="no_instance",server_address="user-service"} 1`)

	b = setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "60")
		reply(503, "")(w, r)
	}))
	_, _ = get(t, b, "/")
	exposed(t, b, `http_client_refused_total{reason="retry_deadline",server_address="user-service"} 1`)
}
