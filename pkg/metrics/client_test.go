package metrics_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/metrics"
)

func TestCallsAreExposed(t *testing.T) {
	t.Parallel()
	m := metrics.New("order-service")
	m.Retry("user-service", "dial")
	m.Retry("user-service", "dial")
	m.CallRefused("user-service", "bulkhead")
	m.Transition("user-service", "CLOSED", "OPEN")
	wantLines(t, scrape(t, m, ""),
		`http_client_retries_total{reason="dial",server_address="user-service"} 2`,
		`http_client_refused_total{reason="bulkhead",server_address="user-service"} 1`,
		`circuit_breaker_transitions_total{from="CLOSED",server_address="user-service",to="OPEN"} 1`)
}

func TestBreakerStateIsThatOfTheScrape(t *testing.T) {
	t.Parallel()
	m := metrics.New("order-service")
	var state atomic.Value
	var cooldown atomic.Int64
	m.WatchBreaker("user-service", func() string { return state.Load().(string) },
		func() time.Duration { return time.Duration(cooldown.Load()) })
	for i, now := range []string{"CLOSED", "OPEN", "HALF_OPEN"} {
		state.Store(now)
		cooldown.Store(int64(i) * int64(time.Second))
		text := scrape(t, m, "")
		wantLines(t, text, fmt.Sprintf(`circuit_breaker_cooldown_seconds{server_address="user-service"} %d`, i))
		for _, each := range []string{"CLOSED", "OPEN", "HALF_OPEN"} {
			value := 0
			if each == now {
				value = 1
			}
			wantLines(t, text, fmt.Sprintf(`circuit_breaker_state{server_address="user-service",state="%s"} %d`, each, value))
		}
	}
}
