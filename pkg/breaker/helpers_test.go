package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// pass lets d pass on the clock of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func answer(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func succeed(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	if err := b.Do(context.Background(), answer(nil)); err != nil {
		t.Fatalf("a call that succeeds: %v", err)
	}
}

func fail(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	if err := b.Do(context.Background(), answer(errBroken)); !errors.Is(err, errBroken) {
		t.Fatalf("a call that fails: %v, want its own error", err)
	}
}

func opened(t *testing.T, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	b := breaker.New("users", cfg)
	for range cfg.Failures {
		fail(t, b)
	}
	wantState(t, b, breaker.Open)
	return b
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("state %v, want %v", got, want)
	}
}

func recovered(b *breaker.Breaker) (value any) {
	defer func() { value = recover() }()
	_ = b.Do(context.Background(), func(context.Context) error { panic("boom") })
	return nil
}

// call is one that the test ends when it likes.
type call struct {
	answer chan error
	done   chan struct{}
}

// begin starts a call, which must be admitted, inside a synctest bubble.
func begin(t *testing.T, b *breaker.Breaker) call {
	t.Helper()
	c := call{answer: make(chan error), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = b.Do(context.Background(), func(context.Context) error { return <-c.answer })
	}()
	synctest.Wait()
	select {
	case <-c.done:
		t.Fatal("the call was refused")
	default:
	}
	return c
}

func (c call) end(err error) {
	c.answer <- err
	<-c.done
}
