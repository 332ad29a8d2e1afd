package breaker_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/go-troika/troika/pkg/breaker"
)

// The intended differences. Each test shows what gobreaker does and what ours
// does instead.

func fail(s subject) { _, _ = s.do(func() error { return errBroken }) }

func passes(s subject) bool {
	_, refused := s.do(func() error { return nil })
	return !refused
}

// opened returns twins after enough failures.
func opened(t *testing.T, ours breaker.Config) *twins {
	w := newTwins(t)
	ours.Failures, ours.Cooldown, ours.Jitter = failures, cooldown, -1
	w.ours = ourBreaker{breaker.New("ours", ours)}
	for range failures {
		fail(w.ours)
		fail(w.peer)
	}
	w.compare("the failures")
	return w
}

// A trial that hangs keeps gobreaker half-open and refusing as long as it hangs.
// Ours grants the trial a lease: afterwards the next call is a trial.
func TestDifferenceHungTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := opened(t, breaker.Config{TrialLease: cooldown})
		<-time.After(cooldown + 1)
		w.begin()
		<-time.After(100 * cooldown)
		if passes(w.peer) || !passes(w.ours) {
			t.Error("want ours to try again, gobreaker to refuse")
		}
		if w.ours.state() != breaker.Closed || w.peer.state() != breaker.HalfOpen {
			t.Errorf("ours is %v, gobreaker %v", w.ours.state(), w.peer.state())
		}
		w.end(0, func() error { return errBroken }) // too late to matter to ours
		if w.ours.state() != breaker.Closed {
			t.Errorf("after the late answer ours is %v", w.ours.state())
		}
	})
}

// A goroutine that ends in the trial (runtime.Goexit, as t.FailNow does) keeps
// gobreaker half-open for ever. Ours counts it as a failure.
func TestDifferenceGoexitInTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := opened(t, breaker.Config{})
		<-time.After(cooldown + 1)
		w.begin()
		w.end(0, func() error { runtime.Goexit(); return nil })
		<-time.After(100 * cooldown)
		if passes(w.peer) || !passes(w.ours) {
			t.Error("want ours to try again, gobreaker to refuse")
		}
	})
}

// gobreaker stays open at the very end of its timeout and a moment longer. Ours
// waits as long as RetryAfter says and no longer.
func TestDifferenceEndOfCooldown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := opened(t, breaker.Config{})
		err, _ := w.ours.do(func() error { return nil })
		refusal, ok := errors.AsType[*breaker.OpenError](err)
		if !ok || refusal.RetryAfter != cooldown {
			t.Fatalf("refused with %v", err)
		}
		<-time.After(refusal.RetryAfter)
		if w.peer.state() != breaker.Open || w.ours.state() != breaker.HalfOpen {
			t.Errorf("ours is %v, gobreaker %v", w.ours.state(), w.peer.state())
		}
	})
}

// gobreaker lets all callers of a broken service come back at the same moment. Ours
// adds up to a fifth of the cooldown at random.
func TestDifferenceJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 50 {
			b := breaker.New("ours", breaker.Config{Failures: 1, Cooldown: cooldown})
			fail(ourBreaker{b})
			refusal, _ := errors.AsType[*breaker.OpenError](b.Do(t.Context(), func(context.Context) error { return nil }))
			waits[refusal.RetryAfter] = true
		}
		if len(waits) < 25 {
			t.Errorf("only %d different cooldowns of 50", len(waits))
		}
		peer := peerBreaker{gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout: cooldown, ReadyToTrip: func(gobreaker.Counts) bool { return true },
		})}
		for range 50 {
			fail(peer)
			<-time.After(cooldown)
			before := peer.state()
			<-time.After(1)
			if before != breaker.Open || peer.state() != breaker.HalfOpen {
				t.Fatalf("gobreaker is %v, then %v", before, peer.state())
			}
		}
	})
}

// Callers that hang up open gobreaker as it comes. Ours learns nothing from
// them.
func TestDifferenceCancelledCalls(t *testing.T) {
	t.Parallel()
	ours := ourBreaker{breaker.New("ours", breaker.Config{})}
	peer := peerBreaker{gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{})}
	for range 10 {
		for _, s := range []subject{ours, peer} {
			_, _ = s.do(func() error { return context.Canceled })
		}
	}
	if ours.state() != breaker.Closed || peer.state() != breaker.Open {
		t.Errorf("ours is %v, gobreaker %v", ours.state(), peer.state())
	}
}

// gobreaker opens after the sixth failure in a row as it comes, ours after the
// fifth.
func TestDifferenceDefaultFailures(t *testing.T) {
	t.Parallel()
	ours := ourBreaker{breaker.New("ours", breaker.Config{})}
	peer := peerBreaker{gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{})}
	for range 5 {
		fail(ours)
		fail(peer)
	}
	if ours.state() != breaker.Open || peer.state() != breaker.Closed {
		t.Errorf("ours is %v, gobreaker %v", ours.state(), peer.state())
	}
}

// gobreaker reports a change while it holds its lock, so that a listener that
// asks it for anything waits for ever. Ours may be used by its listeners.
func TestDifferenceListenersMayUseTheBreaker(t *testing.T) {
	t.Parallel()
	b := breaker.New("ours", breaker.Config{Failures: 1})
	var seen breaker.State
	b.OnTransition(func(breaker.Transition) { seen = b.State() })
	fail(ourBreaker{b})
	if seen != breaker.Open {
		t.Errorf("the listener saw %v", seen)
	}
	var called bool
	peer := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
		OnStateChange: func(string, gobreaker.State, gobreaker.State) {
			called = true // to ask for the state here would hang the test
		},
	})
	fail(peerBreaker{peer})
	if !called {
		t.Error("gobreaker did not report its change")
	}
}
