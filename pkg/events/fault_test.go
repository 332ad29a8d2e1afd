package events_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

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
	if n := b.entries(); n > 20 { // fewer, once trimmed
		t.Errorf("%d stream entries for 20 events", n)
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
	testkit.Eventually(t, patience, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM event_parked WHERE state = 'dead' AND last_error <> ''`); n != 2 {
			return "want 2 dead letters"
		}
		return ""
	})
}

func (b *bus) waitEntries(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, patience, func() string {
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
