package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

func failing(cured *atomic.Bool, bad func(deposit) error) events.Handler[deposit] {
	return func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := bad(d); err != nil && !cured.Load() {
			return err
		}
		return record(ctx, tx, d)
	}
}

func TestPoisonedEventAmongOthers(t *testing.T) {
	b := setup(t)
	b.relay()
	var cured atomic.Bool
	b.consume(failing(&cured, func(d deposit) error {
		if d.Account == "poisoned" && d.N == 1 {
			return errors.New("cannot be handled")
		}
		return nil
	}))
	b.publish("poisoned", 1, 11)
	for i := range 99 {
		b.publish(fmt.Sprint("key-", i), 1, 1)
	}
	for i := range 99 { // while the poisoned one waits
		b.expect(fmt.Sprint("key-", i), 1)
	}
	b.parked("", 11)
	attempts := func() int { return scan[int](b, b.to, `SELECT attempts FROM event_keys`) }
	testkit.Eventually(t, limit, func() string {
		b.due()
		if n := attempts(); n < 12 {
			return fmt.Sprintf("%d attempts", n)
		}
		return ""
	})
	b.parked("dead", 0) // many attempts, but no day
	b.exec(b.to, `UPDATE event_keys SET since = since - interval '24 hours'`)
	testkit.Eventually(t, limit, func() string {
		b.due()
		if n := scan[int](b, b.to, `SELECT count(*) FROM event_keys WHERE state = 'dead'`); n != 1 {
			return "not dead"
		}
		return ""
	})
	dead := b.parked("dead", 1)[0]
	if dead.Key != "poisoned" || dead.Error != "cannot be handled" {
		t.Errorf("dead letter %+v", dead)
	}
	b.publish("poisoned", 12, 12) // waits as well
	b.parked("behind", 11)
	b.expect("poisoned", 0)
	cured.Store(true)
	if n, err := b.operator().Redrive(t.Context(), admin.Selection{ID: &dead.ID}); n != 1 || err != nil {
		t.Errorf("redriven %d, %v", n, err)
	}
	b.expect("poisoned", 12)
	b.parked("", 0)
}

func TestManyPoisonedKeys(t *testing.T) {
	b := setup(t)
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		for i := range 1000 {
			if err := events.Publish(t.Context(), tx, deposited, deposit{fmt.Sprint("k", i), 1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	b.relay()
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		calls.Add(1)
		if strings.HasSuffix(d.Account, "7") {
			return errors.New("poisoned")
		}
		return record(ctx, tx, d)
	})
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM effects`); n != 900 {
			return fmt.Sprintf("%d of 900 effects", n)
		}
		return ""
	})
	b.parked("", 100)
	if n := calls.Load(); n > 5000 {
		t.Errorf("%d handler calls for 1,000 events", n)
	}
}

func TestOutageOfWhatAllNeed(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	var back atomic.Bool
	b.consume(failing(&back, func(deposit) error { return errors.New("away") }))
	for i := range 200 {
		b.publish(fmt.Sprint("k", i), 1, 1)
	}
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM event_parked`); n > 40 {
			t.Fatalf("%d events are parked", n)
		}
		if scan[int](b, b.from, `SELECT sum(last_pos) FROM event_parts`) < 200 {
			return "not all are placed"
		}
		return ""
	})
	back.Store(true)
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM effects`); n != 200 {
			return fmt.Sprintf("%d of 200 effects", n)
		}
		return ""
	})
}

func TestEventsBehindADeadLetterCostNothing(t *testing.T) {
	b := setup(t)
	b.exec(b.to, `INSERT INTO event_keys (consumer, source, key, state) VALUES (?, ?, 'dead', 'dead'), (?, ?, 'due', 'waiting')`,
		subscriber, publisher, subscriber, publisher)
	b.exec(b.to, `INSERT INTO event_parked (consumer, source, key, event_id, event, part, pos, mark, envelope)
SELECT ?, ?, 'dead', gen_random_uuid(), 'deposit.made', 1, n, n, '{}' FROM generate_series(1, 5000) n`, subscriber, publisher)
	b.exec(b.to, `ANALYZE event_keys, event_parked`)
	read := func() int64 {
		return scan[int64](b, b.to, `SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname = 'event_parked'`)
	}
	db := postgres.NewConsumer(b.to, subscriber)
	before := read()
	for range 100 {
		err := db.Transact(t.Context(), func(tx consumer.Tx) error {
			k, ok, err := tx.LockDue()
			if err == nil && (!ok || k.Key != "due") {
				err = fmt.Errorf("found %+v, %v", k, ok)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := read() - before; n > 500 {
		t.Errorf("100 looks for what is due read %d parked events", n)
	}
}

func TestErasingEventReplacesWhatIsParked(t *testing.T) {
	b := setup(t)
	b.relay()
	s := events.NewSubscriptions()
	events.On(s, deposited, func(context.Context, *gorm.DB, deposit) error { return events.Permanent(errors.New("bad data")) })
	events.On(s, closed, record)
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	b.publish("a", 1, 3)
	b.parked("", 3)
	publishAs(t, b, closed, deposit{"a", 1})
	b.expect("a", 1)
	b.parked("", 0)
}
