package breaker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// byRate opens at 50 % of at least 20 calls in 10 s; failures in a row do not matter.
var byRate = breaker.Config{Failures: 1000, Cooldown: cooldown, Jitter: -1, Rate: 0.5}

func TestRateOpensAtTheShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", byRate)
		for range 10 {
			succeed(t, b)
		}
		for range 9 {
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
		fail(t, b)
		wantState(t, b, breaker.Open)
	})
}

func TestRateNeedsEnoughCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", byRate)
		for range 19 {
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
		succeed(t, b) // the twentieth call completes the picture
		wantState(t, b, breaker.Open)
	})
}

func TestRateExpiresAfterItsWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", byRate)
		for range 15 {
			fail(t, b)
		}
		pass(15 * time.Second)
		for range 15 {
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
		pass(9 * time.Second)
		for range 5 {
			fail(t, b)
		}
		wantState(t, b, breaker.Open)
	})
}

func TestRateStartsAnewAfterATrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("users", breaker.Config{Failures: 1000, Cooldown: time.Second, Jitter: -1, Rate: 0.5})
		for range 20 {
			fail(t, b)
		}
		pass(time.Second)
		succeed(t, b)
		for range 10 {
			fail(t, b)
		}
		wantState(t, b, breaker.Closed)
	})
}
