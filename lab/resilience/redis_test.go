package resilience_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/resilience"
)

// ttl is how long Redis knows an instance without a heartbeat.
const ttl = 6 * time.Second

// TestRedisGone: without Redis, longer than any entry lives, callers go on with the
// instances last known; what starts meanwhile serves and calls, too.
func TestRedisGone(t *testing.T) {
	b := begin(t, "Redis down at start, longer than the TTL, and restarted")
	l := b.loadBy(b.caller.Orders)
	began := time.Now()
	b.do(driver.Kill, environment.Redis)
	for _, name := range []string{one, "order-service-2"} {
		b.do(driver.Kill, name)
		b.do(driver.Start, name)
	}
	started := time.Now()
	newcomer, err := b.stack.NewCaller()
	b.must(err)
	n := resilience.Begin(t.Context(), callers, lookUpPace,
		func(ctx context.Context) error { return newcomer.LookUp(ctx, b.user.ID) })
	_ = poll.Sleep(t.Context(), ttl+*lasts-time.Since(began))
	took, returned := b.awaitShare(one, started)
	b.row.Holds(returned, "an instance started without Redis has its share after %s", resilience.Short(took))
	down := time.Since(began)
	b.do(driver.Start, environment.Redis)
	b.sees(3)
	b.row.Count("lookups of a caller started without Redis", n.End())
	b.must(newcomer.Close())
	b.unload(l)
	b.row.Holds(down > ttl, "down for %s (> %s)", resilience.Short(down), ttl)
	b.end()
}

// TestRedisEmptied: an empty look-up removes no instance, and heartbeats fill Redis again.
func TestRedisEmptied(t *testing.T) {
	b := begin(t, "FLUSHALL")
	l := b.load()
	b.must(b.caller.Empty(t.Context()))
	emptied := time.Now()
	b.must(poll.Until(t.Context(), settling, func() error { return b.stack.Listed(environment.User, 3) }))
	b.row.Within("all three are announced again after", time.Since(emptied), 3*time.Second, settling)
	_ = poll.Sleep(t.Context(), *lasts-time.Since(emptied))
	b.unload(l)
	b.end()
}

// TestRedisSlow: a slow Redis slows look-ups in the background only.
func TestRedisSlow(t *testing.T) {
	b := begin(t, "Redis slow by 2 s")
	l := b.load()
	b.stack.Redis.Delay(2 * time.Second)
	_ = poll.Sleep(t.Context(), 2*time.Second+*lasts)
	b.stack.Redis.Delay(0)
	b.unload(l)
	b.end()
}

// TestClocks: the registry reads the clock of Redis and not that of its callers. In a
// bubble of testing/synctest the test sets the clock; a call's token is checked by the
// callee's clock and is signed outside.
func TestClocks(t *testing.T) {
	b := begin(t, "a client's clock 5 min ahead, and 5 min behind")
	b.client.Token(environment.User)
	for _, shift := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		name := "clock-" + map[bool]string{true: "ahead", false: "behind"}[shift > 0]
		real := time.Now()
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(real.Add(shift))) // the bubble's, at once
			counts, err := b.stack.Shifted(t.Context(), b.client, name, b.user.ID)
			if err != nil {
				t.Fatal(err)
			}
			b.row.Count("lookups at "+shift.String(), counts)
		})
		err := b.stack.Listed(name, 1)
		b.row.Holds(err == nil, "what it announces is seen by others: %v", err == nil)
	}
	b.end()
}
