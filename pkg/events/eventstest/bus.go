package eventstest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Bus is a publishing service, a transport, and subscribing services, new and
// empty for each test. Nothing is carried or consumed before Carry and Subscribe
// are called. Its methods fail the test themselves where they give no error, and
// what they start ends with the test.
type Bus interface {
	// Begin publishes event n of key in a transaction and leaves it open; four
	// may be open at once.
	Begin(ctx context.Context, key string, n int) (Tx, error)
	// Next publishes the next event of key, counted from 1 under the key's row
	// lock, and commits.
	Next(ctx context.Context, key string) error
	// Carry starts one more process that carries events to the transport.
	Carry() (stop func())
	// Subscribe starts one more instance of the service group. For each event
	// its handler calls check; without an error it adds n to the effects of
	// key, in the handler's transaction.
	Subscribe(group string, check Check) (stop func())
	// Effects returns what took effect in a group for key, in that order.
	Effects(group, key string) []int

	// WipeTransport takes all the transport's data away.
	WipeTransport()
	// CutPublisher ends the database sessions of the processes that carry.
	CutPublisher()
	// CutSubscriber ends the database sessions of a group's instances.
	CutSubscriber(group string)
	// InTransport counts the events that the transport holds.
	InTransport() int
}

// Tx is an open transaction.
type Tx interface {
	Commit() error
	Rollback() error
}

// Check decides whether an event is handled: an error is the handler's.
type Check func(key string, n int) error

// Fine handles every event.
func Fine(string, int) error { return nil }

// limit is how long an effect may take; the slowest wait is that of a parked
// event's first retry, and of a lost session's successor.
const limit = 20 * time.Second

// publish commits events from to to of key, one transaction each.
func publish(t *testing.T, b Bus, key string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		tx, err := b.Begin(t.Context(), key, n)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// expect waits until exactly 1 to n took effect in order.
func expect(t *testing.T, b Bus, group, key string, n int) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		problem := differs(b.Effects(group, key), n)
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s: %s", key, group, problem)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func differs(effects []int, n int) string {
	for i, v := range effects {
		if v != i+1 {
			return fmt.Sprintf("effects are lost, doubled or out of order: %v", effects)
		}
	}
	if len(effects) != n {
		return fmt.Sprintf("%d effects, want %d", len(effects), n)
	}
	return ""
}
