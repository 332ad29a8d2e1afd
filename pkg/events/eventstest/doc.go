// Package eventstest states the promise of package events as tests over a small
// interface, so that another transport, or another way to keep the outbox, can
// be held to the same.
//
//	func TestPromise(t *testing.T) {
//		eventstest.Run(t, func(t *testing.T) eventstest.Bus { return newBus(t) })
//	}
//
// The promise: what a transaction published takes effect in every subscribed
// service exactly once, in the order of its key, regardless of which process crashes.
package eventstest
