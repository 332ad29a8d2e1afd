package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/breaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cooldown = 30 * time.Second

var errBroken = errors.New("broken")

// exact is a configuration without jitter that opens at the third failure in a row.
var exact = breaker.Config{Failures: 3, Cooldown: cooldown, Jitter: -1}

func TestOpensAfterConsecutiveFailures(t *testing.T) {
	t.Parallel()
	b := breaker.New("users", exact)
	for range 2 {
		fail(t, b)
	}
	succeed(t, b) // starts the count anew
	for range 2 {
		fail(t, b)
		wantState(t, b, breaker.Closed)
	}
	fail(t, b)
	wantState(t, b, breaker.Open)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", breaker.Config{})
		for range 4 {
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
		fail(t, b)
		pass(60*time.Second - 1)
		wantState(t, b, breaker.Open)
		pass(12*time.Second + 1) // 20 % of jitter at most
		wantState(t, b, breaker.HalfOpen)
	})
}

func TestOpenRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(10 * time.Second)
		err := b.Do(t.Context(), func(context.Context) error {
			t.Error("called while open")
			return nil
		})
		refusal, ok := errors.AsType[*breaker.OpenError](err)
		if !ok || !errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("error %v, want an *OpenError that is ErrOpen", err)
		}
		if refusal.Name != "users" || refusal.RetryAfter != 20*time.Second {
			t.Errorf("refusal %+v, want users after 20s", refusal)
		}
		if want := "users: circuit breaker is OPEN, retry after 20s"; err.Error() != want {
			t.Errorf("text %q, want %q", err, want)
		}
	})
}

func TestStateShowsHalfOpenOnceTheCooldownHasPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, exact)
		pass(cooldown - 1)
		wantState(t, b, breaker.Open)
		if left := b.Cooldown(); left != 1 {
			t.Errorf("%v until the next trial, want 1ns", left)
		}
		pass(1)
		wantState(t, b, breaker.HalfOpen)
		if left := b.Cooldown(); left != 0 {
			t.Errorf("%v until the next trial, want 0", left)
		}
	})
}

func TestJitterSpreadsTheCooldown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 100 {
			b := opened(t, breaker.Config{Failures: 1, Cooldown: cooldown})
			refusal, _ := errors.AsType[*breaker.OpenError](b.Do(t.Context(), answer(nil)))
			if refusal.RetryAfter < cooldown || refusal.RetryAfter > cooldown*12/10 {
				t.Fatalf("cooldown of %v, want 30s to 36s", refusal.RetryAfter)
			}
			waits[refusal.RetryAfter] = true
		}
		if len(waits) < 50 {
			t.Errorf("%d different cooldowns of 100", len(waits))
		}
	})
}

func TestClassifyDecides(t *testing.T) {
	t.Parallel()
	errNotFound, errRefused := errors.New(http.StatusText(404)), errors.New("not sent")
	b := breaker.New("users", breaker.Config{Failures: 1, Classify: func(err error) breaker.Outcome {
		switch {
		case err == nil, errors.Is(err, errNotFound):
			return breaker.Success
		case errors.Is(err, errRefused):
			return breaker.Ignore
		}
		return breaker.Failure
	}})
	for _, harmless := range []error{nil, errNotFound, errRefused} {
		if err := b.Do(t.Context(), answer(harmless)); !errors.Is(err, harmless) {
			t.Errorf("error %v, want %v", err, harmless)
		}
		wantState(t, b, breaker.Closed)
	}
	fail(t, b)
	wantState(t, b, breaker.Open)
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(breaker.Closed, breaker.Open, breaker.HalfOpen); got != "CLOSED OPEN HALF_OPEN" {
		t.Errorf("states print as %s", got)
	}
}
