package eventstest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

const group = "mirror"

// Run tests the promise on buses that open makes, each test on one of its own,
// in parallel.
func Run(t *testing.T, open func(*testing.T) Bus) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Bus)
	}{
		{"each event takes effect once", takesEffectOnce},
		{"what is rolled back does not exist", rolledBack},
		{"a late commit is not passed over", lateCommit},
		{"concurrent writers keep the order of their key", concurrentWriters},
		{"every group gets every event", everyGroup},
		{"a group that comes later gets what was before", laterGroup},
		{"instances share the work and take over", instances},
		{"several carriers are exact", severalCarriers},
		{"several carriers are exact about late commits", lateCommits},
		{"a publisher whose sessions die loses nothing", publisherCut},
		{"a subscriber whose sessions die loses nothing", subscriberCut},
		{"a wiped transport is filled again", wiped},
		{"a failing event holds up its key only", poison},
		{"a panic is a failure", panics},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

func takesEffectOnce(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	for i := range 5 {
		publish(t, b, fmt.Sprint("key-", i), 1, 20)
	}
	for i := range 5 {
		expect(t, b, group, fmt.Sprint("key-", i), 20)
	}
	if n := b.InTransport(); n > 100 {
		t.Errorf("the transport holds %d for 100 events", n)
	}
}

func rolledBack(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	tx, err := b.Begin(t.Context(), "a", 99)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "a", 1, 3)
	expect(t, b, group, "a", 3)
}

func lateCommit(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	slow, err := b.Begin(t.Context(), "slow", 1)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, "quick", 1, 50)
	expect(t, b, group, "quick", 50) // and does not wait for slow
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "slow", 2, 20) // in order behind the one that was late
	expect(t, b, group, "slow", 20)
}

func concurrentWriters(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	var writers sync.WaitGroup
	for _, key := range []string{"a", "b", "a", "b", "a", "b"} {
		writers.Go(func() {
			for range 20 {
				if err := b.Next(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	expect(t, b, group, "a", 60)
	expect(t, b, group, "b", 60)
}

func everyGroup(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe("one", Fine)
	b.Subscribe("two", Fine)
	publish(t, b, "a", 1, 20)
	expect(t, b, "one", "a", 20)
	expect(t, b, "two", "a", 20)
}

func laterGroup(t *testing.T, b Bus) {
	b.Carry()
	publish(t, b, "a", 1, 20)
	b.Subscribe(group, Fine)
	expect(t, b, group, "a", 20)
}

func instances(t *testing.T, b Bus) {
	b.Carry()
	first := b.Subscribe(group, Fine)
	publish(t, b, "a", 1, 20)
	second := b.Subscribe(group, Fine)
	b.Subscribe(group, Fine)
	publish(t, b, "b", 1, 20)
	expect(t, b, group, "a", 20)
	first()
	publish(t, b, "a", 21, 40)
	second()
	publish(t, b, "b", 21, 40)
	expect(t, b, group, "a", 40)
	expect(t, b, group, "b", 40)
}

func severalCarriers(t *testing.T, b Bus) {
	for range 4 {
		b.Carry()
	}
	b.Subscribe(group, Fine)
	publish(t, b, "a", 1, 100)
	expect(t, b, group, "a", 100)
	if n := b.InTransport(); n > 100 {
		t.Errorf("the transport holds %d for 100 events", n)
	}
}

// lateCommits has transactions commit in the opposite of the order in which they
// published, while others publish and four carry.
func lateCommits(t *testing.T, b Bus) {
	for range 4 {
		b.Carry()
	}
	b.Subscribe(group, Fine)
	const late = 4
	var open [late]Tx
	for i := range late {
		var err error
		if open[i], err = b.Begin(t.Context(), fmt.Sprint("late-", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range late {
		publish(t, b, "quick", 1+10*i, 10+10*i)
		if err := open[late-1-i].Commit(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, b, group, "quick", 10*late)
	for i := range late {
		expect(t, b, group, fmt.Sprint("late-", i), 1)
	}
	if n := b.InTransport(); n > 11*late {
		t.Errorf("the transport holds %d for %d events", n, 11*late)
	}
}

func publisherCut(t *testing.T, b Bus) {
	b.Carry()
	b.Carry()
	b.Subscribe(group, Fine)
	for i := range 10 {
		publish(t, b, "a", 1+10*i, 10+10*i)
		b.CutPublisher()
	}
	expect(t, b, group, "a", 100)
	if n := b.InTransport(); n > 100 {
		t.Errorf("the transport holds %d for 100 events", n)
	}
}

func subscriberCut(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	b.Subscribe(group, Fine)
	for i := range 10 {
		publish(t, b, "a", 1+20*i, 20+20*i)
		b.CutSubscriber(group)
	}
	expect(t, b, group, "a", 200)
}

func wiped(t *testing.T, b Bus) {
	b.Carry()
	b.Subscribe(group, Fine)
	publish(t, b, "a", 1, 30)
	b.WipeTransport()
	publish(t, b, "a", 31, 60)
	expect(t, b, group, "a", 60)
	b.WipeTransport()
	publish(t, b, "a", 61, 70)
	expect(t, b, group, "a", 70)
}

func poison(t *testing.T, b Bus) {
	b.Carry()
	var cured atomic.Bool
	b.Subscribe(group, func(key string, n int) error {
		if key == "poisoned" && n == 3 && !cured.Load() {
			return errors.New("cannot be handled")
		}
		return nil
	})
	publish(t, b, "poisoned", 1, 10)
	for i := range 6 {
		publish(t, b, fmt.Sprint("key-", i), 1, 10)
	}
	for i := range 6 {
		expect(t, b, group, fmt.Sprint("key-", i), 10)
	}
	expect(t, b, group, "poisoned", 2)
	cured.Store(true)
	expect(t, b, group, "poisoned", 10)
}

func panics(t *testing.T, b Bus) {
	b.Carry()
	var calls atomic.Int64
	b.Subscribe(group, func(_ string, n int) error {
		if n == 2 && calls.Add(1) < 3 {
			panic("out of order")
		}
		return nil
	})
	publish(t, b, "a", 1, 5)
	expect(t, b, group, "a", 5)
}
