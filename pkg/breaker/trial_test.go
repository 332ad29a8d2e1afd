package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

func TestTrialSuccessCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
		for range 2 { // the old failures are forgotten
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
	})
}

func TestTrialFailureOpensForAnotherCooldown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown)
		fail(t, b)
		pass(cooldown - 1)
		wantState(t, b, breaker.Open)
		pass(1)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
	})
}

func TestHalfOpenLetsOneTrialThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown)
		finish, calls := make(chan error), make(chan error, 20)
		for range 20 {
			go func() { calls <- b.Do(t.Context(), func(context.Context) error { return <-finish }) }()
		}
		synctest.Wait()
		if len(calls) != 19 {
			t.Fatalf("%d of 20 calls refused, want 19", len(calls))
		}
		for range 19 {
			refusal, ok := errors.AsType[*breaker.OpenError](<-calls)
			if !ok || refusal.RetryAfter != time.Second {
				t.Fatalf("refusal %+v, want one after 1s", refusal)
			}
		}
		wantState(t, b, breaker.HalfOpen)
		finish <- nil
		if err := <-calls; err != nil {
			t.Errorf("the trial: %v", err)
		}
		wantState(t, b, breaker.Closed)
	})
}

func TestIgnoredOutcomesSayNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		hangUp := func(context.Context) error { return fmt.Errorf("get: %w", context.Canceled) }
		for range 10 {
			_ = b.Do(t.Context(), hangUp)
		}
		wantState(t, b, breaker.Closed)
		for range 2 {
			fail(t, b)
			_ = b.Do(t.Context(), hangUp) // neither counts nor resets the count
		}
		fail(t, b)
		wantState(t, b, breaker.Open)

		pass(cooldown)
		_ = b.Do(t.Context(), hangUp) // a trial that hangs up frees its slot
		wantState(t, b, breaker.HalfOpen)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
	})
}

func TestPanicFreesTheTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown)
		if got := recovered(b); got != "boom" {
			t.Errorf("recovered %v, want the panic of the call", got)
		}
		wantState(t, b, breaker.Open)
		pass(cooldown)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
	})
}

func TestPanicsCountAsFailures(t *testing.T) {
	t.Parallel()
	b := breaker.New("users", exact)
	for range 3 {
		recovered(b)
	}
	wantState(t, b, breaker.Open)
}

func TestGoexitFreesTheTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_ = b.Do(t.Context(), func(context.Context) error {
				runtime.Goexit()
				return nil
			})
		}()
		<-gone
		wantState(t, b, breaker.Open)
		pass(cooldown)
		succeed(t, b)
		wantState(t, b, breaker.Closed)
	})
}

func TestHungTrialLosesItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := exact
		cfg.TrialLease = 5 * time.Second
		b := opened(t, cfg)
		pass(cooldown)
		hung := begin(t, b)
		pass(5*time.Second - 1)
		if err := b.Do(t.Context(), answer(nil)); !errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("within the lease: %v, want a refusal", err)
		}
		pass(1)
		second := begin(t, b)
		hung.end(errBroken) // too late to spoil the second trial
		wantState(t, b, breaker.HalfOpen)
		second.end(nil)
		wantState(t, b, breaker.Closed)
	})
}

func TestLateAnswersAreIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", exact)
		early := []call{begin(t, b), begin(t, b), begin(t, b), begin(t, b)}
		for range 3 {
			fail(t, b)
		}
		early[0].end(nil) // a success of the closed state must not close it
		wantState(t, b, breaker.Open)

		pass(cooldown)
		trial := begin(t, b)
		early[1].end(errBroken) // nor a failure reopen it
		wantState(t, b, breaker.HalfOpen)
		trial.end(nil)
		for range 2 {
			fail(t, b)
		}
		early[2].end(errBroken) // nor count in a later closed state
		wantState(t, b, breaker.Closed)
		early[3].end(nil) // nor reset its count
		fail(t, b)
		wantState(t, b, breaker.Open)
	})
}
