package serviceclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestRefusalsNeverOpenTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(int, *http.Request) (*http.Response, error) { return refusal("1"), nil }}
		b := setupOver(t, s, serviceclient.Config{Breaker: breaker.Config{Failures: 1}}, "http://a:1")
		for range 20 {
			if _, err := get(t, b, "/"); serviceclient.CodeOf(err) != "overloaded" {
				t.Fatal(err)
			}
		}
		if b.Breaker().State() != breaker.Closed {
			t.Error("refusals opened the breaker")
		}
	})
}

// TestTimeoutsOfTheService tells a service that was too slow from a caller that left it no time.
func TestTimeoutsOfTheService(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		patience, after time.Duration
		want            breaker.State
	}{
		{"the caller's deadline", 700 * time.Millisecond, 699 * time.Millisecond, breaker.Closed},
		{"a tiny deadline", time.Millisecond, 0, breaker.Closed},
		{"the service's own limit", 700 * time.Millisecond, 500 * time.Millisecond, breaker.Open},
		{"the limit of the attempt", time.Minute, 1999 * time.Millisecond, breaker.Open},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{play: func(int, *http.Request) (*http.Response, error) {
					<-time.After(tc.after)
					resp := answer(http.StatusGatewayTimeout, "Content-Type", "application/problem+json")
					resp.Body = io.NopCloser(strings.NewReader(`{"code":"timeout"}`))
					return resp, nil
				}}
				b := setupOver(t, s, serviceclient.Config{Breaker: breaker.Config{Failures: 1}, Retries: -1}, "http://a:1")
				ctx, cancel := context.WithTimeout(t.Context(), tc.patience)
				defer cancel()
				if _, err := serviceclient.Get[account](ctx, b.Client, "/"); err == nil {
					t.Error("no error")
				}
				if got := b.Breaker().State(); got != tc.want {
					t.Errorf("the breaker is %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// A call is one call, however many attempts it makes.
func TestCallCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(int, *http.Request) (*http.Response, error) { return nil, errors.New("away") }}
		b := setupOver(t, s, serviceclient.Config{Breaker: breaker.Config{Failures: 2}}, "http://a:1")
		_, _ = get(t, b, "/")
		if state := b.Breaker().State(); state != breaker.Closed || len(s.times) != 3 {
			t.Errorf("after one call of %d attempts the breaker is %s", len(s.times), state)
		}
		_, _ = get(t, b, "/")
		if state := b.Breaker().State(); state != breaker.Open {
			t.Errorf("after two calls the breaker is %s", state)
		}
	})
}

// What a proxy answers in the service's place is no word of the service.
func TestProxysAnswerIsATransportFailure(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 2, Cooldown: time.Minute}},
		serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such backend", http.StatusNotFound) }))
	for range 2 {
		if _, err := get(t, b, "/users/1"); !errors.Is(err, serviceclient.ErrNotProblem) || serviceclient.CodeOf(err) != "" {
			t.Errorf("got %v, want ErrNotProblem", err)
		}
	}
	if b.Breaker().State() != breaker.Open {
		t.Error("the breaker took a proxy's 404 for success")
	}
}

// The callee is back: the next call gets through within two seconds, whatever is
// left of the cooldown.
func TestRecoveryFollowsTheHealthCheck(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 1, Cooldown: time.Hour}},
		serve(t, func(w http.ResponseWriter, r *http.Request) {
			if up.Load() {
				reply(200, ann)(w, r)
				return
			}
			reply(500, "")(w, r)
		}))
	testkit.Run(t, b.registry.Run)
	if _, err := get(t, b, "/users/1"); err == nil || b.Breaker().State() != breaker.Open {
		t.Fatal("not open")
	}
	up.Store(true)
	testkit.Eventually(t, 10*time.Second, func() string {
		if _, err := get(t, b, "/users/1"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// A new instance is a new chance.
func TestRecoveryFollowsANewInstance(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 1, Cooldown: time.Hour}}, dead(t))
	if _, err := get(t, b, "/users/1"); err == nil || b.Breaker().State() != breaker.Open {
		t.Fatal("not open")
	}
	if err := b.registry.Register(target, serve(t, reply(200, ann))); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() string {
		if _, err := get(t, b, "/users/1"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// One that answers health checks and fails its calls is tried now and then.
func TestHealthyButFailingServiceIsTriedNowAndThen(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	b := setup(t, serviceclient.Config{Retries: -1, Breaker: breaker.Config{Failures: 1, Cooldown: time.Hour}},
		serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				reply(200, "{}")(w, r)
				return
			}
			calls.Add(1)
			reply(500, "")(w, r)
		}))
	testkit.Run(t, b.registry.Run)
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		_, _ = get(t, b, "/users/1")
		<-time.After(10 * time.Millisecond)
	}
	if n := calls.Load(); n < 2 || n > 5 { // after 0.5, 1 and 2 s
		t.Errorf("%d calls in 4 s", n)
	}
}
