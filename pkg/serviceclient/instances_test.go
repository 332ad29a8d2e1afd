package serviceclient_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// One of three instances dies under load: the breaker of the service stays closed and nobody notices.
func TestOneInstanceOfThreeDies(t *testing.T) {
	t.Parallel()
	served := make(chan struct{}, 1<<16)
	h := func(w http.ResponseWriter, r *http.Request) {
		served <- struct{}{}
		reply(200, ann)(w, r)
	}
	victim := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(victim.Close)
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 3}}, victim.URL, serve(t, h), serve(t, h))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if _, err := get(t, b, "/users/1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 400 {
		<-served
	}
	victim.CloseClientConnections()
	victim.Listener.Close()
	wg.Wait()
	if b.Breaker().State() != breaker.Closed {
		t.Error("the breaker opened")
	}
}

// One of three instances misbehaves under load: idempotent calls do not fail, and the breaker stays closed.
func TestOneBadInstanceOfThree(t *testing.T) {
	t.Parallel()
	const usual = 2 * time.Millisecond
	after := func(d time.Duration, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
				h(w, r)
			case <-r.Context().Done():
			}
		}
	}
	fine := after(usual, reply(200, ann))
	for name, bad := range map[string]http.HandlerFunc{
		"fails fast": reply(500, ""),
		"slow":       after(10*usual, reply(200, ann)),
		"hangs":      hang,
		"flaky": func(w http.ResponseWriter, r *http.Request) {
			if rand.IntN(10) < 3 {
				reply(503, "")(w, r)
				return
			}
			fine(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, serviceclient.Config{AttemptTimeout: time.Second, Breaker: breaker.Config{Failures: 3}},
				serve(t, bad), serve(t, fine), serve(t, fine))
			var wg sync.WaitGroup
			var failed atomic.Int64
			for range 16 {
				wg.Go(func() {
					for range 60 {
						if _, err := get(t, b, "/users/1"); err != nil {
							failed.Add(1)
							t.Log(err)
						}
					}
				})
			}
			wg.Wait()
			if failed.Load() != 0 || b.Breaker().State() != breaker.Closed {
				t.Errorf("%d of 960 calls failed, breaker %s", failed.Load(), b.Breaker().State())
			}
		})
	}
}

// All three are down: three calls open the breaker, and the outage is hardly amplified.
func TestAllInstancesDown(t *testing.T) {
	t.Parallel()
	const calls = 100
	var attempts atomic.Int64
	h := func(w http.ResponseWriter, r *http.Request) {
		attempts.Add(1)
		reply(503, "")(w, r)
	}
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 3}}, serve(t, h), serve(t, h), serve(t, h))
	for n := range calls {
		if _, err := get(t, b, "/users/1"); err == nil {
			t.Fatal("no error")
		}
		if open := b.Breaker().State() == breaker.Open; open != (n >= 2) {
			t.Fatalf("after call %d the breaker is %s", n+1, b.Breaker().State())
		}
	}
	if n := attempts.Load(); n > calls*125/100 {
		t.Errorf("%d attempts for %d calls", n, calls)
	}
}
