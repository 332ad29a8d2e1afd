package resilience_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/resilience"
)

const (
	one   = "user-service-2" // of three
	third = "user-service-3"
)

// frozen is how long an instance hangs at least: until attempts, then a health check,
// have timed out and it is known to be down.
const frozen = 4500 * time.Millisecond

// TestKilled: calls that the instance was serving, and those refused afterwards, succeed
// elsewhere.
func TestKilled(t *testing.T) {
	b := begin(t, "kill -9 of one of three user-service instances")
	b.leaves(driver.Kill, driver.Start)
}

// TestStopped: no call notices an instance that is stopped with SIGTERM.
func TestStopped(t *testing.T) {
	b := begin(t, "SIGTERM of one of three")
	b.leaves(driver.Stop, driver.Start)
}

// TestFrozen: an instance that accepts connections and never responds costs some calls
// an attempt's timeout, and none fails.
func TestFrozen(t *testing.T) {
	b := begin(t, "SIGSTOP of one of three")
	b.leaves(driver.Pause, driver.Resume)
}

// leaves takes one instance away under load and brings it back.
func (b *bundle) leaves(away, back string) {
	victim := b.stack.Part(one)
	l := b.load()
	b.hold()
	gone := time.Now()
	b.do(away, one)
	if away == driver.Pause {
		_ = poll.Sleep(b.Context(), max(*lasts, frozen))
	} else {
		b.hold()
	}
	b.do(back, one)
	since := time.Now()
	took, returned := b.awaitShare(one, since)
	b.unload(l)
	if away != driver.Pause { // a hanging instance is found out after an attempt's timeout
		b.row.AtMost("failed attempts at it", float64(b.caller.Attempts.Failed(victim.Host(), gone)), 10, 40)
	} else {
		b.row.Measured("%d failed attempts at it", b.caller.Attempts.Failed(victim.Host(), gone))
	}
	b.row.Holds(returned, "its share is back")
	b.row.Within("after its return", took, 3*time.Second, settling)
	b.end()
}

// awaitShare waits until an instance of user-service has its share of the lookups.
func (b *bundle) awaitShare(name string, since time.Time) (took time.Duration, returned bool) {
	instances := b.stack.Instances(environment.User)
	at := 0
	for i, p := range instances {
		if p.Name == name {
			at = i
		}
	}
	_ = poll.Until(b.Context(), settling, func() error {
		if took, returned = b.caller.Attempts.Returned(instances, at, since); !returned {
			return fmt.Errorf("%s has no share yet", name)
		}
		return nil
	})
	return took, returned
}

// TestOneOfThreeMisbehaves puts a faulty instance in the place of one of three.
// Its health check succeeds all the time.
func TestOneOfThreeMisbehaves(t *testing.T) {
	s := running(t)
	if err := s.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), driver.Kill, third); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, fault string
		do          resilience.Fault
		lasts       time.Duration
	}{
		{"fast failing", "one of three answers 500 in 1 ms", resilience.FailFast, *lasts},
		{"slow", "one of three takes ten times as long", resilience.Slow, *lasts},
		{"flaky", "one of three fails 30 % of its calls", resilience.Flaky, *lasts},
		{"hang", "one of three never answers", resilience.Hang, *lasts + 2*time.Second},
	} {
		t.Run(c.name, func(inner *testing.T) { misbehave(inner, t, c.fault, c.do, c.lasts) })
	}
	if err := s.Do(t.Context(), driver.Start, third); err != nil {
		t.Fatal(err)
	}
}

// misbehave runs one of the faults. Its instance deregisters at the end, and serves
// callers that have not noticed until whole ends.
func misbehave(t, whole *testing.T, fault string, do resilience.Fault, lasts time.Duration) {
	b := beginWith(t, fault, 2)
	faulty, err := b.stack.NewFaulty(t.Context(), b.stack.Part(one))
	b.must(err)
	whole.Cleanup(faulty.Close)
	t.Cleanup(func() {
		if err := faulty.Withdraw(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	l := b.load()
	b.must(poll.Until(t.Context(), settling, func() error {
		mine, theirs := faulty.Seen("gateway").Load(), faulty.Seen(environment.Order).Load()
		if mine < 20 || theirs < 20 {
			return fmt.Errorf("the new instance got %d lookups and %d calls of order-service", mine, theirs)
		}
		return nil
	}))
	before := l.lookUps.Calls() + l.orders.Calls()
	faulty.Do(do)
	_ = poll.Sleep(t.Context(), lasts)
	affected, during := faulty.Affected(), l.lookUps.Calls()+l.orders.Calls()-before
	b.unload(l)
	b.row.Holds(affected > 0, "%d attempts of %d calls met it", affected, during)
	b.end()
}
