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
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
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
