package events_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/testkit"
)

// soon is what an idle system promises to whoever is behind (2 s), and room for a
// machine with other things to do.
const soon = 6 * time.Second

// expectSoon is expect without a further event to help.
func (b *bus) expectSoon(account string, n int) {
	b.t.Helper()
	testkit.Eventually(b.t, soon, func() string { return b.differs(account, n) })
}

// onePart puts all keys into one part.
func (b *bus) onePart() { b.repartition(1) }

func (b *bus) repartition(n int) {
	b.t.Helper()
	if _, err := relay.NewPostgres(b.from.Pool()).Repartition(b.t.Context(), n); err != nil {
		b.t.Fatal(err)
	}
}

// placed waits until the log has n events in all.
func (b *bus) placed(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, patience, func() string {
		if got := scan[int](b, b.from, `SELECT sum(last_pos) FROM event_parts`); got != n {
			return fmt.Sprintf("%d events in the log, want %d", got, n)
		}
		return ""
	})
}

// streamed waits until the streams hold n entries.
func (b *bus) streamed(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, patience, func() string {
		if got := b.entries(); got != n {
			return fmt.Sprintf("%d stream entries, want %d", got, n)
		}
		return ""
	})
}

// stream is the one stream that exists.
func (b *bus) stream() string {
	b.t.Helper()
	all := b.streams()
	if len(all) != 1 {
		b.t.Fatalf("streams %v, want one", all)
	}
	return all[0]
}

// backup is a state of both databases that can be brought back.
type backup struct{ b *bus }

var (
	producersTables = []string{"event_outbox", "event_log", "event_parts", "event_source"}
	consumersTables = []string{"event_parked", "event_keys", "event_offsets", "event_inbox", "effects"}
)

func (b *bus) backup() backup {
	b.t.Helper()
	for _, table := range producersTables {
		b.exec(b.from, "CREATE TABLE backup_"+table+" AS TABLE "+table)
	}
	for _, table := range consumersTables {
		b.exec(b.to, "CREATE TABLE backup_"+table+" AS TABLE "+table)
	}
	return backup{b}
}

// producer restores the producer's database, in one transaction.
func (s backup) producer() { s.restore(s.b.from, producersTables) }

// consumer restores the consumer's.
func (s backup) consumer() { s.restore(s.b.to, consumersTables) }

func (s backup) restore(target *database.DB, tables []string) {
	s.b.t.Helper()
	err := target.Gorm.Transaction(func(tx *gorm.DB) error {
		for _, table := range tables {
			if err := tx.Exec("DELETE FROM " + table).Error; err != nil {
				return err
			}
		}
		for i := len(tables) - 1; i >= 0; i-- {
			insert := "INSERT INTO " + tables[i] + " OVERRIDING SYSTEM VALUE SELECT * FROM backup_" + tables[i]
			if err := tx.Exec(insert).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.b.t.Fatal(err)
	}
}

// A part that was quiet for longer than the log's days has no row left, and a
// consumer that is new gets what comes then.
func TestQuietPart(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	b.exec(b.from, `DELETE FROM event_log`) // what retention does in the end
	if err := b.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	late := b.lateConsumer()
	b.publish("a", 6, 8)
	b.expect("a", 8)
	testkit.Eventually(t, patience, func() string {
		if got := fmt.Sprint(late()); got != "[6 7 8]" {
			return "a new consumer has " + got
		}
		return ""
	})
	stop()
	b.exec(b.to, `UPDATE event_offsets SET pos = 2, mark = 77 WHERE pos > 0`) // restored to before what is gone
	b.exec(b.to, `DELETE FROM event_inbox`)
	b.exec(b.to, `DELETE FROM effects WHERE n > 5`)
	b.consume(record)
	b.publish("a", 9, 9)
	b.expect("a", 9)
	if dead := scan[int](b, b.to, `SELECT count(*) FROM event_parked`); dead != 0 {
		t.Errorf("%d events were set aside", dead)
	}
}

// lateConsumer starts one that nobody has heard of, and returns what it has.
func (b *bus) lateConsumer() func() []int {
	b.t.Helper()
	db := testkit.Postgres(b.t, "late", nil)
	b.exec(db, effectsTable)
	testkit.Consumer(b.t, "late", testkit.Open(b.t, db.Name()), b.redis, b.log(), handledBy(record))
	return func() []int { return effectsIn(b.t, db, "a") }
}

// All is handled, the streams are empty, nothing is published any more: a new
// consumer, and one whose database was restored, get everything all the same.
func TestIdleSystemBringsEveryoneUp(t *testing.T) {
	b := setup(t)
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 4)
	b.expect("a", 4)
	saved := b.backup()
	b.publish("a", 5, 10)
	b.expect("a", 10)
	for _, stream := range b.streams() {
		if err := b.redis.XTrimMaxLen(t.Context(), stream, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	late := b.lateConsumer()
	testkit.Eventually(t, soon, func() string {
		if got := late(); len(got) != 10 {
			return fmt.Sprintf("a new consumer has %v", got)
		}
		return ""
	})
	stop()
	saved.consumer()
	b.consume(record)
	b.expectSoon("a", 10)
	saved.consumer() // under a live consumer, too
	b.expectSoon("a", 10)
}

// The producer's database is restored while Redis is away; what is published then
// is sent, and the consumer has what the log has, once.
func TestProducerRestoredWhileRedisIsAway(t *testing.T) {
	b := setup(t)
	b.onePart()
	stopRelay := b.relay()
	b.consume(record)
	b.publish("a", 1, 6)
	b.expect("a", 6)
	saved := b.backup()
	b.publish("b", 1, 4) // will be lost by the restore
	b.expect("b", 4)
	stopRelay()
	saved.producer()
	b.publish("a", 7, 11) // at the positions of those that are lost
	b.placed(6)           // no relay yet
	b.relay()
	b.expect("a", 11)
	b.expect("b", 4) // effects of what is gone stay
	b.publish("a", 12, 15)
	b.expect("a", 15)
}

// A restored outbox brings events back at other positions.
func TestProducerRestoredUnderTraffic(t *testing.T) {
	b := setup(t)
	stopRelay := b.relay()
	b.consume(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	stopRelay()
	b.publish("a", 11, 15) // wait in the outbox
	b.publish("b", 1, 5)
	saved := b.backup()
	stopRelay = b.relay()
	b.publish("c", 1, 3)
	b.expect("a", 15)
	b.expect("b", 5)
	b.expect("c", 3)
	stopRelay()
	saved.producer() // 11 to 15 of a and all of b wait again, c is gone
	b.relay()
	b.publish("d", 1, 3)
	b.publish("a", 16, 20)
	b.expect("d", 3)
	b.expect("a", 20)
	b.expect("b", 5)
}

// After a failover that lost the end, the outbox counts from before: ids that a relay
// has seen emptied are given again, and are no less in order.
func TestOutboxCountsFromBeforeAfterARestore(t *testing.T) {
	b := setup(t)
	saved := b.backup()
	log := relay.NewPostgres(b.from.Pool())
	move := func(want int) {
		t.Helper()
		moved, _, err := log.Move(t.Context(), false)
		n := 0
		for _, records := range moved {
			n += len(records)
		}
		if err != nil || n != want {
			t.Errorf("moved %d events, %v; want %d", n, err, want)
		}
	}
	for n := 1; n <= 10; n++ {
		b.publish("a", n, n)
		move(1)
	}
	saved.producer()
	b.exec(b.from, `SELECT setval(pg_get_serial_sequence('event_outbox', 'id'), 1, false)`)
	b.publish("a", 1, 3)
	move(3)
}

// Redis forgets its last entries, as after a crash with appendonly everysec.
func TestRedisThatLostItsEndIsCompleted(t *testing.T) {
	b := setup(t)
	b.onePart()
	stop := b.relay()
	b.publish("a", 1, 10)
	b.streamed(10)
	stop()
	stream := b.stream()
	snapshot, err := b.redis.Dump(t.Context(), stream).Result()
	if err != nil {
		t.Fatal(err)
	}
	stop = b.relay()
	b.publish("a", 11, 20)
	b.streamed(20)
	stop()
	if err := b.redis.RestoreReplace(t.Context(), stream, 0, snapshot).Err(); err != nil {
		t.Fatal(err)
	}
	b.relay()
	b.consume(record)
	b.expect("a", 20)
	b.streamed(20)
}

// Entries are missing in mid-stream: the producer's log has them.
func TestGapIsFilledFromTheProducersLog(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	b.publish("a", 1, 10)
	b.streamed(10)
	if err := b.redis.XDel(t.Context(), b.stream(), "0-1", "0-4", "0-5").Err(); err != nil {
		t.Fatal(err)
	}
	b.consume(record)
	b.expect("a", 10)
}

// Whoever reaches Redis writes what it likes: rubbish, the next position, a copy of
// an event that is still to come, ids that leave none above them, another type.
func TestForeignEntriesDoNoHarm(t *testing.T) {
	genuine := func(b *bus) map[string]any {
		e := testkit.Published(b.t, b.from)
		return map[string]any{"m": "1", "p": "1", "e": fmt.Sprintf(
			`{"event":"deposit.made","data":{"account":"a","n":6},"timestamp":"2026-01-01T00:00:00Z","service":%q,"id":%q,"key":"a","version":1}`,
			publisher, e[len(e)-1].ID)}
	}
	for name, write := range map[string]func(b *bus, stream string) error{
		"rubbish": func(b *bus, stream string) error {
			return b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"hello", "world"}}).Err()
		},
		"10 MiB": func(b *bus, stream string) error {
			values := map[string]any{"m": "1", "p": "1", "e": strings.Repeat("\x00", 10<<20)}
			return b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, ID: "0-6", Values: values}).Err()
		},
		"the next position": func(b *bus, stream string) error {
			return b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, ID: "0-6", Values: genuine(b)}).Err()
		},
		"99999-1": func(b *bus, stream string) error {
			return b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, ID: "99999-1", Values: genuine(b)}).Err()
		},
		"the last id": func(b *bus, stream string) error {
			id := fmt.Sprintf("%d-%d", uint64(math.MaxUint64), uint64(math.MaxUint64))
			return b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, ID: id, Values: genuine(b)}).Err()
		},
		"an id without its entry": func(b *bus, stream string) error {
			if err := b.redis.XAdd(b.t.Context(), &redis.XAddArgs{Stream: stream, ID: "0-999", Values: []string{"x", "y"}}).Err(); err != nil {
				return err
			}
			return b.redis.XDel(b.t.Context(), stream, "0-999").Err()
		},
		"another type": func(b *bus, stream string) error { return b.redis.Set(b.t.Context(), stream, "x", 0).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.onePart()
			b.relay()
			b.consume(record)
			b.publish("a", 1, 5)
			b.expect("a", 5)
			if err := write(b, b.stream()); err != nil {
				t.Fatal(err)
			}
			b.publish("a", 6, 12)
			b.expect("a", 12)
			b.streamed(12) // and the stream is as it should be again
			if n := scan[int](b, b.to, `SELECT count(*) FROM event_parked`); n != 0 {
				t.Errorf("%d events are parked", n)
			}
		})
	}
}

// Two environments on one Redis do not feed each other.
func TestEnvironmentsAreApart(t *testing.T) {
	b := setup(t)
	b.relay()
	b.publish("a", 1, 3)
	b.streamed(3)
	if other := events.StreamName("production", publisher, 1); strings.HasPrefix(other, testkit.Env+":") {
		t.Errorf("production's streams are called %s", other)
	}
	for _, stream := range b.streams() {
		if !strings.HasPrefix(stream, testkit.Env+":") {
			t.Errorf("stream %s does not name its environment", stream)
		}
	}
}

// Partitions change under writers and consumers.
func TestPartitionsChangeUnderWriters(t *testing.T) {
	b := setup(t)
	b.relay()
	b.relay()
	b.consume(record)
	b.consume(record)
	ctx, stop := context.WithCancel(t.Context())
	counts := make(chan int, 8)
	for w := range 8 {
		go func() {
			n := 0
			for ctx.Err() == nil {
				err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
					return events.Publish(t.Context(), tx, deposited, deposit{fmt.Sprint("w", w), n + 1})
				})
				if err != nil {
					t.Error(err)
					break
				}
				n++
			}
			counts <- n
		}()
	}
	sum := func() int { return scan[int](b, b.from, `SELECT sum(last_pos) FROM event_parts`) }
	for _, n := range []int{16, 4, 1, 7} {
		before := sum()
		testkit.Eventually(t, patience, func() string {
			if sum() < before+200 {
				return "the writers write too little"
			}
			return ""
		})
		b.repartition(n)
	}
	stop()
	total := 0
	for range 8 {
		total += <-counts
	}
	testkit.Eventually(t, patience, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM effects`); n != total {
			return fmt.Sprintf("%d effects of %d", n, total)
		}
		return ""
	})
	for w := range 8 {
		account := fmt.Sprint("w", w)
		b.expect(account, len(b.effects(account)))
	}
}
