package serviceclient_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/serviceclient"
)

// untilDone is a transport that never gets an answer.
type untilDone struct{}

func (untilDone) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Each of many calls under way at once ends at its own time, whatever the order in which they began.
func TestEachCallHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupOver(t, untilDone{}, serviceclient.Config{Retries: -1, Breaker: steady}, "http://a:1")
		began := time.Now()
		call := func(limit, want time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if _, err := serviceclient.Get[account](ctx, b.Client, "/"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error: %v", err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("ended after %v, want %v", took, want)
			}
		}
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() { call(time.Hour, 2*time.Second) })
			wg.Go(func() { call(time.Duration(n+1)*100*time.Millisecond, time.Duration(n+1)*100*time.Millisecond) })
			wg.Go(func() {
				<-time.After(500 * time.Millisecond)
				call(time.Hour, 2500*time.Millisecond)
			})
		}
		wg.Wait()
	})
}

// A call whose total time ends before that of its attempt, among others.
func TestNearerDeadlineComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := setupOver(t, untilDone{}, serviceclient.Config{Timeout: 3 * time.Second, Breaker: steady}, "http://a:1")
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 { // attempts of 2 s and then 1 s, next to each other's
			wg.Go(func() {
				if _, err := get(t, long, "/"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
		}
		wg.Wait()
	})
}

// derives is a transport that gives the request a context of its own, as instrumentation does.
type derives struct{}

func (derives) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	return untilDone{}.RoundTrip(r.WithContext(ctx))
}

func TestTimeoutIsSentFromADerivedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setupOver(t, derives{}, serviceclient.Config{Retries: -1}, "http://a:1")
		if _, err := get(t, b, "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("timed out with %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := serviceclient.Get[account](ctx, b.Client, "/")
		if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled with %v", err)
		}
	})
}
