package events_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestFlushedRedisIsFilledAgain(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 30)
	b.expect("a", 30)
	if err := b.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b.publish("a", 31, 60)
	b.expect("a", 60)
	testkit.Eventually(t, 5*time.Second, func() string {
		if n := b.entries(); n != 60 {
			return "stream lacks entries"
		}
		return ""
	})
}

// Redis forgets its last entries, as after a crash with appendonly everysec.
func TestRedisThatLostItsEndIsCompleted(t *testing.T) {
	b := setup(t)
	stop := b.relay()
	b.publish("a", 1, 10)
	b.waitEntries(10)
	stop()
	stream := b.streamWith(10)
	snapshot, err := b.redis.Dump(t.Context(), stream).Result()
	if err != nil {
		t.Fatal(err)
	}
	stop = b.relay()
	b.publish("a", 11, 20)
	b.waitEntries(20)
	stop()
	if err := b.redis.RestoreReplace(t.Context(), stream, 0, snapshot).Err(); err != nil {
		t.Fatal(err)
	}
	b.relay()
	b.consume(record)
	b.expect("a", 20)
	if n := b.entries(); n != 20 {
		t.Errorf("%d stream entries for 20 events", n)
	}
}

func TestTwoRelaysAreExact(t *testing.T) {
	b := setup(t)
	for range 4 {
		b.relay()
	}
	b.consume(record)
	b.publish("a", 1, 100)
	b.expect("a", 100)
	if n := b.entries(); n != 100 {
		t.Errorf("%d stream entries for 100 events", n)
	}
}

// The relay's session is ended by force again and again, as a crash would.
func TestRelayWhoseSessionsDieGoesOn(t *testing.T) {
	b := setup(t)
	b.relay()
	b.relay()
	b.consume(record)
	for i := range 10 {
		b.publish("a", 1+10*i, 10+10*i)
		b.exec(b.from, `
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	}
	b.expect("a", 100)
	if n := b.entries(); n != 100 {
		t.Errorf("%d stream entries for 100 events", n)
	}
}

func TestStrangersEntriesAreSetAside(t *testing.T) {
	b := setup(t)
	stop := b.relay()
	b.publish("a", 1, 5)
	b.waitEntries(5)
	stop()
	stream := b.streamWith(5)
	for _, values := range []map[string]any{
		{"hello": "world"},
		{"id": "x", "envelope": "{"},
		{"envelope": strings.Repeat("\x00", 10<<20)},
	} {
		if err := b.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b.relay()
	b.consume(record)
	b.publish("a", 6, 10)
	b.expect("a", 10)
	if n := scan[int](b, b.to, `SELECT count(*) FROM event_parked WHERE state = 'dead'`); n != 3 {
		t.Errorf("%d dead letters, want 3", n)
	}
}

// A stranger has used up the stream's ids: nothing can be appended any more.
func TestStreamWithoutIdsLeftIsMadeAgain(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	err := b.redis.XAdd(t.Context(), &redis.XAddArgs{
		Stream: b.streamWith(5), ID: "18446744073709551615-18446744073709551615", Values: []string{"x", "y"},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	b.publish("a", 6, 10)
	b.expect("a", 10)
}

func TestPublisherRestoredFromBackup(t *testing.T) {
	b := setup(t)
	stop := b.relay()
	stopConsumer := b.consume(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	stop()
	stopConsumer()
	// The backup was taken after the sixth deposit; the last four are undone.
	b.exec(b.from, `DELETE FROM event_log WHERE pos > 6`)
	b.exec(b.from, `UPDATE event_streams SET last_pos = 6 WHERE last_pos > 6`)
	b.relay()
	b.consume(record)
	b.publish("a", 11, 30) // positions 7 to 26, some of which the stream has already
	b.expect("a", 30)
}

func TestConsumerRestoredFromBackup(t *testing.T) {
	b := setup(t)
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	stop()
	b.exec(b.to, `DELETE FROM effects WHERE n > 4`)
	b.exec(b.to, `UPDATE event_offsets SET pos = 4 WHERE pos > 4`)
	b.exec(b.to, `DELETE FROM event_inbox WHERE event_id IN (
		SELECT event_id FROM event_inbox ORDER BY event_id OFFSET 4)`)
	b.consume(record)
	b.expect("a", 10)
}

// The stream has lost entries in the middle: the producer's log has them.
func TestGapIsFilledFromTheProducersLog(t *testing.T) {
	b := setup(t)
	b.relay()
	b.publish("a", 1, 10)
	b.waitEntries(10)
	stream := b.streamWith(10)
	if err := b.redis.XDel(t.Context(), stream, "1-1", "1-4", "1-5").Err(); err != nil {
		t.Fatal(err)
	}
	b.consume(record)
	b.expect("a", 10)
}

func TestPoisonHoldsUpItsKeyOnly(t *testing.T) {
	b := setup(t)
	b.relay()
	var cured atomic.Bool
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.Account == "poisoned" && d.N == 3 && !cured.Load() {
			return errors.New("cannot be applied")
		}
		return record(ctx, tx, d)
	})
	b.publish("poisoned", 1, 10)
	for _, account := range []string{"a", "b", "c", "d", "e", "f"} {
		b.publish(account, 1, 10)
	}
	for _, account := range []string{"a", "b", "c", "d", "e", "f"} {
		b.expect(account, 10)
	}
	b.expect("poisoned", 2)
	cured.Store(true)
	b.expect("poisoned", 10)
}

func TestPanickingHandlerIsAFailure(t *testing.T) {
	b := setup(t)
	b.relay()
	var calls atomic.Int64
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 2 && calls.Add(1) < 3 {
			panic("out of order")
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 5)
	b.expect("a", 5)
}

func TestUndecodableAndNewerEventsAreDeadAtOnce(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	odd := events.NewType(publisher, "deposit.made", 1, func(string) string { return "odd" })
	newer := events.NewType(publisher, "deposit.made", 2, func(d deposit) string { return d.Account })
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return errors.Join(
			events.Publish(t.Context(), tx, odd, "not a deposit"),
			events.Publish(t.Context(), tx, newer, deposit{"new", 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.publish("a", 1, 5)
	b.expect("a", 5)
	testkit.Eventually(t, 5*time.Second, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM event_parked WHERE state = 'dead' AND last_error <> ''`); n != 2 {
			return "want 2 dead letters"
		}
		return ""
	})
}

func TestPartitionsAreSharedOutAndTakenOver(t *testing.T) {
	b := setup(t)
	b.relay()
	stopFirst := b.consume(record)
	b.publish("a", 1, 20)
	b.expect("a", 20)
	second := b.consume(record)
	third := b.consume(record)
	_ = third
	b.publish("a", 21, 40)
	b.publish("b", 1, 20)
	b.expect("a", 40)
	stopFirst()
	b.publish("a", 41, 60)
	b.publish("b", 21, 40)
	b.expect("a", 60)
	second()
	b.publish("b", 41, 60)
	b.expect("b", 60)
}

// The consumer's sessions and transactions are cut off in mid-work.
func TestConsumerWhoseConnectionsDropLosesNothing(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil {
			return err
		}
		return tx.Exec(`SELECT pg_sleep(0.002)`).Error
	})
	for i := range 10 {
		b.publish("a", 1+20*i, 20+20*i)
		b.exec(b.from, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ? AND application_name = ?`, b.to.Name(), subscriber)
	}
	b.expect("a", 200)
}

func (b *bus) waitEntries(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, 5*time.Second, func() string {
		if b.entries() != n {
			return "streams are not complete"
		}
		return ""
	})
}

// streamWith finds the stream that holds n entries.
func (b *bus) streamWith(n int64) string {
	b.t.Helper()
	for part := range events.DefaultConfig().Partitions {
		stream := events.StreamName(publisher, part)
		if b.redis.XLen(b.t.Context(), stream).Val() == n {
			return stream
		}
	}
	b.t.Fatalf("no stream has %d entries", n)
	return ""
}
