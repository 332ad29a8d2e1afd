package serviceclient

import (
	"context"
	"sync"
	"time"
)

// deadlines ends attempts whose time is up. It has one timer for all of them, because one for each costs more than all
// policies of a call together: attempts wait in the order of their deadlines, the timer is set for the first, and an
// attempt that ends in time leaves it alone. It is safe for concurrent use.
type deadlines struct {
	mu    sync.Mutex
	ring  attemptContext // of those that wait; its next is the first
	timer *time.Timer
	due   time.Time // when the timer goes off; zero when it is not set
}

func newDeadlines() *deadlines {
	d := new(deadlines)
	d.ring.prev, d.ring.next = &d.ring, &d.ring
	return d
}

// attemptContext is the context of one attempt. Its Err, like that of a context with a timer, is DeadlineExceeded when
// its own time was up.
type attemptContext struct {
	context.Context // ended with a cause
	cancel          context.CancelCauseFunc
	deadline        time.Time
	prev, next      *attemptContext // nil when it does not wait
}

// Deadline implements context.Context.
func (a *attemptContext) Deadline() (time.Time, bool) { return a.deadline, true }

// Err implements context.Context.
func (a *attemptContext) Err() error {
	if a.expired() {
		return context.DeadlineExceeded
	}
	return a.Context.Err()
}

func (a *attemptContext) expired() bool {
	return context.Cause(a.Context) == context.DeadlineExceeded //nolint:errorlint // set by expire as it is
}

// start answers a context that ends with parent, at the deadline or at end, which must be called.
func (d *deadlines) start(parent context.Context, deadline time.Time) *attemptContext {
	ctx, cancel := context.WithCancelCause(parent)
	a := &attemptContext{Context: ctx, cancel: cancel, deadline: deadline}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.insert(a)
	if d.due.IsZero() || deadline.Before(d.due) {
		d.set(deadline)
	}
	return a
}

// end is for an attempt that is over.
func (d *deadlines) end(a *attemptContext) {
	d.mu.Lock()
	if a.next != nil {
		d.remove(a)
	}
	d.mu.Unlock()
	a.cancel(nil)
}

// expire ends all attempts whose time is up and sets the timer for the next.
func (d *deadlines) expire() {
	d.mu.Lock()
	now := time.Now()
	var over []*attemptContext
	d.due = time.Time{}
	for a := d.ring.next; a != &d.ring; a = d.ring.next {
		if now.Before(a.deadline) {
			d.set(a.deadline)
			break
		}
		over = append(over, a)
		d.remove(a)
	}
	d.mu.Unlock()
	for _, a := range over {
		a.cancel(context.DeadlineExceeded)
	}
}

// set has expire called at that time. mu is held.
func (d *deadlines) set(at time.Time) {
	d.due = at
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(at), d.expire)
		return
	}
	d.timer.Reset(time.Until(at))
}

// insert keeps the order; nearly always a goes to the end. mu is held.
func (d *deadlines) insert(a *attemptContext) {
	before := &d.ring
	for before.prev != &d.ring && a.deadline.Before(before.prev.deadline) {
		before = before.prev
	}
	a.prev, a.next = before.prev, before
	a.prev.next, a.next.prev = a, a
}

// remove takes a out. mu is held.
func (d *deadlines) remove(a *attemptContext) {
	a.prev.next, a.next.prev = a.next, a.prev
	a.prev, a.next = nil, nil
}
