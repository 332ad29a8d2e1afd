package breaker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/breaker"
)

func TestListenersGetEveryTransitionInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := breaker.New("users", exact)
		var first, second []breaker.Transition
		b.OnTransition(func(tr breaker.Transition) { first = append(first, tr) })
		b.OnTransition(func(tr breaker.Transition) { second = append(second, tr) })
		for range 3 {
			fail(t, b)
		}
		pass(cooldown)
		fail(t, b)
		pass(cooldown)
		succeed(t, b)

		at := func(d time.Duration, from, to breaker.State) breaker.Transition {
			return breaker.Transition{Name: "users", From: from, To: to, At: start.Add(d)}
		}
		want := []breaker.Transition{
			at(0, breaker.Closed, breaker.Open),
			at(cooldown, breaker.Open, breaker.HalfOpen),
			at(cooldown, breaker.HalfOpen, breaker.Open),
			at(2*cooldown, breaker.Open, breaker.HalfOpen),
			at(2*cooldown, breaker.HalfOpen, breaker.Closed),
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("first listener (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("listeners differ:\n%s", diff)
		}
	})
}

func TestListenerMayUseTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		var seen []breaker.State
		b.OnTransition(func(tr breaker.Transition) {
			seen = append(seen, tr.To)
			switch tr.To {
			case breaker.Open:
				pass(cooldown)
				succeed(t, b) // causes two transitions from within a listener
			case breaker.Closed:
				b.OnTransition(func(breaker.Transition) {})
			}
		})
		for range 3 {
			fail(t, b)
		}
		want := []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Closed}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

func TestSlowListenerDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		release := make(chan struct{})
		b.OnTransition(func(breaker.Transition) { <-release })
		go func() {
			for range 3 {
				_ = b.Do(t.Context(), answer(errBroken))
			}
		}()
		synctest.Wait()
		if err := b.Do(t.Context(), answer(nil)); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("while a listener hangs: %v, want a refusal", err)
		}
		wantState(t, b, breaker.Open)
		close(release)
	})
}

func TestTransitionsAreReportedOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		release := make(chan struct{})
		var told []breaker.State
		b.OnTransition(func(tr breaker.Transition) {
			<-release
			told = append(told, tr.To)
		})
		go func() {
			for range 3 {
				_ = b.Do(t.Context(), answer(errBroken))
			}
		}()
		pass(cooldown)
		succeed(t, b) // two more transitions, while the listener still has the first
		if len(told) != 0 {
			t.Errorf("told %v out of turn", told)
		}
		close(release)
		synctest.Wait()
		want := []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Closed}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

func TestPanickingListenerDoesNotWedge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		told := 0
		b.OnTransition(func(breaker.Transition) {
			if told++; told == 1 {
				panic("listener")
			}
		})
		func() {
			defer func() { _ = recover() }()
			for range 3 {
				_ = b.Do(t.Context(), answer(errBroken))
			}
		}()
		pass(cooldown)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
		if told != 3 {
			t.Errorf("told %d transitions, want 3", told)
		}
	})
}

// TestConcurrentUse checks under the race detector that transitions always form a path.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := breaker.New("users", breaker.Config{Failures: 2, Cooldown: time.Microsecond, TrialLease: time.Millisecond})
	last, told := breaker.Closed, 0
	b.OnTransition(func(tr breaker.Transition) {
		if tr.From != last {
			t.Errorf("%v → %v after %v", tr.From, tr.To, last)
		}
		last = tr.To
		told++
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				_ = b.Do(context.Background(), answer([]error{nil, errBroken, errBroken, context.Canceled}[(n+i)%4]))
				_ = b.State()
			}
		})
	}
	wg.Wait()
	if told == 0 {
		t.Error("no transition at all")
	}
}
