package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/go-troika/troika/pkg/breaker"
)

var errBroken = errors.New("the other side is broken")

// subject is a breaker under test.
type subject interface {
	// do calls f, unless it refuses.
	do(f func() error) (err error, refused bool)
	state() breaker.State
}

type ourBreaker struct{ *breaker.Breaker }

func (b ourBreaker) do(f func() error) (error, bool) {
	err := b.Do(context.Background(), func(context.Context) error { return f() })
	return err, errors.Is(err, breaker.ErrOpen)
}

func (b ourBreaker) state() breaker.State { return b.State() }

type peerBreaker struct {
	*gobreaker.CircuitBreaker[struct{}]
}

func (b peerBreaker) do(f func() error) (error, bool) {
	_, err := b.Execute(func() (struct{}, error) { return struct{}{}, f() })
	return err, errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
}

func (b peerBreaker) state() breaker.State {
	switch b.State() {
	case gobreaker.StateOpen:
		return breaker.Open
	case gobreaker.StateHalfOpen:
		return breaker.HalfOpen
	default:
		return breaker.Closed
	}
}

const (
	failures = 3
	cooldown = 10 * time.Second
	forever  = 1000 * time.Hour // longer than any history
)

// twins are the two breakers, set so that none of the intended differences
// shows: no jitter, a trial that may take for ever, cancelled calls ignored, the
// same number of failures.
type twins struct {
	t          *testing.T
	ours, peer subject
	open       []pair // calls under way
}

// pair is one call through each.
type pair struct{ ours, peer call }

func newTwins(t *testing.T) *twins {
	return &twins{
		t: t,
		ours: ourBreaker{breaker.New("ours", breaker.Config{
			Failures: failures, Cooldown: cooldown, Jitter: -1, TrialLease: forever,
		})},
		peer: peerBreaker{gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:     cooldown,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
			IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
		})},
	}
}

// begin starts a call through each, and compares whether they let it pass.
func (w *twins) begin() {
	p := pair{begin(w.ours), begin(w.peer)}
	synctest.Wait()
	if p.ours.refused() != p.peer.refused() {
		w.t.Fatalf("refused by ours: %v, by gobreaker: %v", p.ours.refused(), p.peer.refused())
	}
	if !p.ours.refused() {
		w.open = append(w.open, p)
	}
}

// end ends the i-th call in progress.
func (w *twins) end(i int, outcome func() error) {
	p := w.open[i]
	w.open = append(w.open[:i], w.open[i+1:]...)
	p.ours.end(outcome)
	p.peer.end(outcome)
}

// compare compares the states of both.
func (w *twins) compare(after string) {
	if ours, peer := w.ours.state(), w.peer.state(); ours != peer {
		w.t.Fatalf("after %s ours is %v, gobreaker %v", after, ours, peer)
	}
}

// call is one that ends when the test likes.
type call struct {
	answer chan func() error
	done   chan struct{}
}

// begin starts a call inside a synctest bubble.
func begin(s subject) call {
	c := call{make(chan func() error), make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() { _ = recover() }() // outcomes may panic
		_, _ = s.do(func() error { return (<-c.answer)() })
	}()
	return c
}

func (c call) refused() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c call) end(outcome func() error) {
	c.answer <- outcome
	<-c.done
}

// outcomes are how a call can end in a history.
var outcomes = []struct {
	name string
	end  func() error
}{
	{"success", func() error { return nil }},
	{"failure", func() error { return errBroken }},
	{"failure", func() error { return errBroken }}, // more often, or nothing opens
	{"cancellation", func() error { return fmt.Errorf("call: %w", context.Canceled) }},
	{"panic", func() error { panic("boom") }},
}
