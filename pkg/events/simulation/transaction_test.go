package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// Transact implements consumer.Database.
func (c consumerDB) Transact(_ context.Context, f func(consumer.Tx) error) error {
	t := &transaction{consumerDB: c}
	if err := c.effect(c.process, &c.consumer.server); err != nil {
		return err
	}
	for c.isLocked() {
		c.sleep(c.process, 2*time.Millisecond)
	}
	c.consumer.open, t.state = t, c.consumer.state.copied()
	defer func() {
		if c.consumer.open == t {
			c.consumer.open = nil
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	if err := t.statement(); err != nil {
		return err
	}
	return c.exchange(c.process, &c.consumer.server, func() {
		if !t.aborted {
			t.state.instances = c.consumer.state.instances
			c.consumer.commit(t.state)
			for _, n := range t.staying {
				c.stayed[n] = true
			}
		}
	})
}

// transaction implements consumer.Tx.
type transaction struct {
	consumerDB
	state   consumerState
	aborted bool    // by the server
	staying []int32 // see system.stayed; if the transaction commits
}

var errAborted = errors.New("terminating connection due to idle-in-transaction timeout")

// statement comes before each of the transaction's.
func (t *transaction) statement() error {
	err := t.effect(t.process, &t.consumer.server)
	if t.aborted {
		err = errAborted
	}
	return err
}

// Offsets implements consumer.Tx.
func (t *transaction) Offsets(string) (map[int64]events.Position, error) {
	offsets := make(map[int64]events.Position, len(t.state.offsets))
	for _, o := range t.state.offsets {
		offsets[o.Part] = o.Position
	}
	return offsets, t.statement()
}

// Lock implements consumer.Tx.
func (t *transaction) Lock(source string, part int64, ids []uuid.UUID, keys []string) (consumer.Known, error) {
	known := consumer.Known{
		Offset: consumer.Offset{Source: source, Part: part}, Seen: map[uuid.UUID]bool{}, Waits: map[string]bool{},
	}
	if at := t.state.offset(part); at != nil {
		known.Offset = *at
	}
	for _, id := range ids {
		if t.row(id).in {
			known.Seen[id] = true
		}
	}
	for _, key := range keys {
		if t.key(key) != nil {
			known.Waits[key] = true
		}
	}
	return known, t.statement()
}

// row returns the inbox's row for an event.
func (t *transaction) row(id uuid.UUID) *inboxRow {
	n := int(numberOf(id))
	for len(t.state.inbox) <= n {
		t.state.inbox = append(t.state.inbox, inboxRow{})
	}
	return &t.state.inbox[n]
}

func (t *transaction) key(key string) *keyRow {
	for i := range t.state.keys {
		if t.state.keys[i].Key.Key == key {
			return &t.state.keys[i]
		}
	}
	return nil
}

// Take implements consumer.Tx.
func (t *transaction) Take(o consumer.Offset, to events.Position, taken []consumer.Taken) (fresh int, err error) {
	if at := t.state.offset(o.Part); at != nil {
		at.Position = to
	}
	for _, e := range taken {
		row := t.row(e.ID)
		if !row.in {
			fresh++
		}
		*row = inboxRow{e.Position, o.Part, true}
	}
	return fresh, t.statement()
}

// Savepoint implements consumer.Tx.
func (t *transaction) Savepoint(f func() error) (handlerErr, err error) {
	n := len(t.state.applied)
	if handlerErr = f(); handlerErr != nil {
		t.state.applied = t.state.applied[:n:n]
	}
	return handlerErr, t.statement()
}

type transactionKey struct{}

// Handle implements consumer.Tx.
func (t *transaction) Handle(ctx context.Context, s *events.Subscription, e events.Envelope) error {
	return s.Handle(context.WithValue(ctx, transactionKey{}, t), nil, e)
}

// Park implements consumer.Tx.
func (t *transaction) Park(k consumer.Key, d time.Duration, _ string, p consumer.Parked, _ string) error {
	now := t.clock(&t.consumer.server)
	if t.key(k.Key) == nil {
		t.state.keys = append(t.state.keys, keyRow{k, now + shorter(d), now})
	}
	t.state.number++
	p.Number, p.Key = t.state.number, k.Key
	t.state.parked = append(t.state.parked, p)
	return t.statement()
}

// shorter keeps the waits between attempts within a history.
func shorter(d time.Duration) time.Duration { return min(d, 3*time.Second) }

// Unpark implements consumer.Tx.
func (t *transaction) Unpark(_, key string) error {
	t.state.parked = slices.DeleteFunc(t.state.parked, func(p consumer.Parked) bool { return p.Key == key })
	t.state.keys = slices.DeleteFunc(t.state.keys, func(k keyRow) bool { return k.Key.Key == key })
	return t.statement()
}

// LockDue implements consumer.Tx.
func (t *transaction) LockDue() (consumer.Key, bool, error) {
	var due *keyRow
	now := t.clock(&t.consumer.server)
	for i := range t.state.keys {
		k := &t.state.keys[i]
		if k.State != consumer.StateDead && k.wait(now) == 0 && (due == nil || k.next < due.next) {
			due = k
		}
	}
	return t.locked(due)
}

// LockKey implements consumer.Tx.
func (t *transaction) LockKey(_, key string) (consumer.Key, bool, error) { return t.locked(t.key(key)) }

func (t *transaction) locked(k *keyRow) (consumer.Key, bool, error) {
	if k == nil {
		return consumer.Key{}, false, t.statement()
	}
	k.Age = max(t.clock(&t.consumer.server)-k.since, 0)
	return k.Key, true, t.statement()
}

// First implements consumer.Tx.
func (t *transaction) First(_, key string) (consumer.Parked, bool, error) {
	i := t.state.first(key)
	if i < 0 {
		return consumer.Parked{}, false, t.statement()
	}
	return t.state.parked[i], true, t.statement()
}

// Remove implements consumer.Tx.
func (t *transaction) Remove(_, key string, number int64) error {
	t.state.parked = slices.DeleteFunc(t.state.parked, func(p consumer.Parked) bool { return p.Number == number })
	if k, now := t.key(key), t.clock(&t.consumer.server); k != nil {
		k.State, k.Attempts, k.since, k.next = consumer.StateWaiting, 0, now, now
	}
	return t.statement()
}

// Postpone implements consumer.Tx.
func (t *transaction) Postpone(k consumer.Key, d time.Duration, _ string) error {
	if row := t.key(k.Key); row != nil {
		row.State, row.Attempts, row.next = k.State, k.Attempts, t.clock(&t.consumer.server)+shorter(d)
	}
	return t.statement()
}

// numberOf returns the number of an event.
func numberOf(id uuid.UUID) int32 { return int32(id[14])<<8 | int32(id[15]) }
