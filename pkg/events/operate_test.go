package events_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// operated runs a consumer and gives it to the test as an operator has it.
func (b *bus) operated(h events.Handler[deposit], opts ...events.Option) *events.Consumer {
	b.t.Helper()
	var consumer *events.Consumer
	db := testkit.Open(b.t, b.to.Name())
	testkit.Consumer(b.t, subscriber, db, b.redis, testkit.LogOf(b.from), func(c *events.Consumer) {
		events.On(c, deposited, h, opts...)
		consumer = c
	})
	return consumer
}

func (b *bus) waitParked(c *events.Consumer, state string, n int) []events.Parked {
	b.t.Helper()
	var list []events.Parked
	testkit.Eventually(b.t, patience, func() string {
		var err error
		if list, err = c.Parked(b.t.Context(), state, 0, 100); err != nil {
			return err.Error()
		}
		if len(list) != n {
			return fmt.Sprintf("%d events are %s, want %d", len(list), state, n)
		}
		return ""
	})
	return list
}

func TestDeadLetterIsRedrivenInOrder(t *testing.T) {
	b := setup(t)
	b.relay()
	var cured atomic.Bool
	c := b.operated(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 3 && !cured.Load() {
			return events.Permanent(errors.New("bad data"))
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 10)
	b.publish("b", 1, 2)
	b.expect("b", 2)
	dead := b.waitParked(c, "dead", 1)[0]
	b.waitParked(c, "waiting", 7)
	if dead.Key != "a" || dead.Error != "bad data" || dead.Attempts != 1 {
		t.Errorf("dead letter %+v", dead)
	}
	b.expect("a", 2)
	cured.Store(true)
	if n, err := c.Redrive(t.Context(), events.Selection{ID: dead.ID}); n != 1 || err != nil {
		t.Errorf("redriven %d, %v", n, err)
	}
	b.expect("a", 10)
	b.waitParked(c, "", 0)
}

// What failed is found again in the publisher's logs.
func TestDeadLetterNamesItsTrace(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(func(context.Context, *gorm.DB, deposit) error { return events.Permanent(errors.New("bad data")) })
	ctx := tracing.WithCarrier(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "")
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(ctx, tx, deposited, deposit{"a", 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	if dead := b.waitParked(c, "dead", 1)[0]; dead.TraceID != "4bf92f35-77b3-4da6-a3ce-929d0e0e4736" {
		t.Errorf("dead letter names the trace %q", dead.TraceID)
	}
}

func TestDiscardedEventLetsItsKeyGoOn(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 1 {
			return events.Permanent(errors.New("bad data"))
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 3)
	b.waitParked(c, "waiting", 2)
	n, err := c.Discard(t.Context(), events.Selection{Event: deposited.Name(), ID: b.waitParked(c, "dead", 1)[0].ID}, "known fault")
	if n != 1 || err != nil {
		t.Fatalf("discarded %d, %v", n, err)
	}
	b.publish("a", 4, 5)
	testkit.Eventually(t, patience, func() string {
		if got := b.effects("a"); fmt.Sprint(got) != "[2 3 4 5]" {
			return fmt.Sprint(got)
		}
		return ""
	})
	if gone := b.waitParked(c, "discarded", 1)[0]; gone.Error != "known fault" {
		t.Errorf("reason %q", gone.Error)
	}
	_, err = c.Redrive(t.Context(), events.Selection{ID: b.waitParked(c, "discarded", 1)[0].ID})
	if !errors.Is(err, events.ErrNotParked) {
		t.Errorf("redrive of a discarded event: %v", err)
	}
}

func TestHandlerSaysWhenToTryAgain(t *testing.T) {
	b := setup(t)
	b.relay()
	var calls atomic.Int64
	c := b.operated(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if calls.Add(1) == 1 {
			return events.RetryAfter(errors.New("too many requests"), time.Hour)
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 1)
	parked := b.waitParked(c, "waiting", 1)[0]
	if wait := time.Until(parked.NextAt); wait < 50*time.Minute || wait > time.Hour || calls.Load() != 1 {
		t.Errorf("next attempt in %v after %d calls", wait, calls.Load())
	}
	if _, err := c.Redrive(t.Context(), events.Selection{}); err != nil {
		t.Fatal(err)
	}
	b.expect("a", 1)
}

// Effects and Redis are gone; the log brings the same effects back.
func TestReplayRestoresTheEffects(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(record)
	b.publish("a", 1, 30)
	b.publish("b", 1, 20)
	b.expect("a", 30)
	b.expect("b", 20)
	b.exec(b.to, `TRUNCATE effects`)
	if err := b.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Replay(t.Context(), publisher, -1, events.From{}); n != 50 || err != nil {
		t.Fatalf("replay of %d events, %v", n, err)
	}
	b.expect("a", 30)
	b.expect("b", 20)
	b.publish("a", 31, 35)
	b.expect("a", 35)
}

func TestReplaySinceATime(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	since := scan[time.Time](b, b.from, `SELECT now()`)
	b.publish("a", 11, 15)
	b.expect("a", 15)
	b.exec(b.to, `DELETE FROM effects WHERE n > 10`)
	if n, err := c.Replay(t.Context(), publisher, -1, events.From{Since: since}); n != 5 || err != nil {
		t.Fatalf("replay of %d events, %v", n, err)
	}
	b.expect("a", 15)
	if _, err := c.Replay(t.Context(), "stranger", -1, events.From{}); !errors.Is(err, events.ErrNotSubscribed) {
		t.Errorf("replay of a stranger's events: %v", err)
	}
}

func TestPausedConsumerWaits(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() string {
		n := scan[int](b, b.to, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if n != 1 { // its membership
			return strconv.Itoa(n) + " locks"
		}
		return ""
	})
	b.publish("a", 6, 10)
	b.waitEntries(10)
	b.expect("a", 5)
	status, err := c.Status(t.Context())
	if err != nil || !status.Paused || status.Consumer != subscriber {
		t.Errorf("status %+v, %v", status, err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect("a", 10)
}

func TestUnknownTypeIsSetAsideAndDoesNotBlockItsKey(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(record)
	strange := events.NewType(publisher, "deposit.blessed", 1, func(d deposit) string { return d.Account })
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, strange, deposit{"a", 0})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.publish("a", 1, 3)
	b.expect("a", 3)
	if dead := b.waitParked(c, "dead", 1)[0]; dead.Error != "unknown type deposit.blessed" {
		t.Errorf("dead letter says %q", dead.Error)
	}
}

func TestOldVersionIsLifted(t *testing.T) {
	b := setup(t)
	b.relay()
	type first struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	old := events.NewType(publisher, "deposit.renamed", 1, func(f first) string { return f.Name })
	now := events.NewType(publisher, "deposit.renamed", 2, func(d deposit) string { return d.Account })
	testkit.Consumer(t, subscriber, b.to, b.redis, testkit.LogOf(b.from), func(c *events.Consumer) {
		events.On(c, now, record, events.Upcast(1, func(f first) (deposit, error) { return deposit{f.Name, f.N}, nil }))
	})
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return errors.Join(
			events.Publish(t.Context(), tx, old, first{"a", 1}),
			events.Publish(t.Context(), tx, now, deposit{"a", 2}))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.expect("a", 2)
}

// What all groups have acknowledged is trimmed; what one has not, stays.
func TestTrimmingWaitsForEveryGroup(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 20)
	b.expect("a", 20)
	stream := b.streamWith(20)
	if err := b.redis.XGroupCreate(t.Context(), stream, "slow", "1-5").Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() string {
		if n := b.entries(); n != 15 {
			return fmt.Sprintf("%d entries", n)
		}
		return ""
	})
	if err := b.idleRelay().Forget(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() string {
		if n := b.entries(); n != 0 {
			return fmt.Sprintf("%d entries", n)
		}
		return ""
	})
	b.publish("a", 21, 25)
	b.expect("a", 25)
	testkit.Consumer(t, "late", testkit.Postgres(t, "late", nil), b.redis, testkit.LogOf(b.from), func(c *events.Consumer) {
		events.On(c, deposited, func(_ context.Context, _ *gorm.DB, d deposit) error {
			b.exec(b.to, `INSERT INTO effects (account, n) VALUES (?, ?)`, "late "+d.Account, d.N)
			return nil
		})
	})
	b.expect("late a", 25) // a new group gets from the log what the stream has no more
}

// idleRelay is a relay that does not run, to operate.
func (b *bus) idleRelay() *events.Relay {
	return events.NewRelay(events.NewOutbox(publisher, b.cfg), b.from, b.redis, testkit.EventDeps(b.t))
}

// A group that is gone for good is forgotten, in Redis or not; one that was not
// gone goes on where it was.
func TestForgottenGroupHoldsNothingBack(t *testing.T) {
	b := setup(t)
	relay := b.idleRelay()
	if err := relay.Forget(t.Context(), "nobody"); !errors.Is(err, events.ErrNoSuchGroup) {
		t.Errorf("without any stream: %v", err)
	}
	b.relay()
	b.consume(record)
	b.exec(b.from, `INSERT INTO event_groups (part, consumer, gen, pos, seen_at) VALUES (0, 'gone', 1, 0, now() - interval '1 day')`)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	testkit.Eventually(t, patience, func() string {
		groups, err := relay.Groups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			if g.Consumer == subscriber && g.Acknowledged == "1-10" && g.Lag == 0 && g.Pending == 0 {
				return ""
			}
		}
		return fmt.Sprintf("groups %+v", groups)
	})
	for _, consumer := range []string{"gone", subscriber} {
		if err := relay.Forget(t.Context(), consumer); err != nil {
			t.Fatal(err)
		}
	}
	if err := relay.Forget(t.Context(), "gone"); !errors.Is(err, events.ErrNoSuchGroup) {
		t.Errorf("forgotten twice: %v", err)
	}
	b.publish("a", 11, 20)
	b.expect("a", 20)
	testkit.Eventually(t, patience, func() string {
		if n := b.entries(); n != 0 {
			return fmt.Sprintf("%d entries", n)
		}
		return ""
	})
}

func TestLogKeepsItsDays(t *testing.T) {
	b := setup(t)
	b.exec(b.from, `CREATE TABLE event_log_20200101 PARTITION OF event_log FOR VALUES FROM ('2020-01-01+00') TO ('2020-01-02+00')`)
	b.relay()
	b.publish("a", 1, 1)
	b.waitEntries(1)
	days := scan[string](b, b.from, `SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text)
		FROM pg_inherits WHERE inhparent = 'event_log'::regclass`)
	today := time.Now().UTC()
	want := fmt.Sprintf("event_log_%s event_log_%s event_log_%s event_log_default",
		today.Format("20060102"), today.AddDate(0, 0, 1).Format("20060102"), today.AddDate(0, 0, 2).Format("20060102"))
	if days != want {
		t.Errorf("partitions %s, want %s", days, want)
	}
}
