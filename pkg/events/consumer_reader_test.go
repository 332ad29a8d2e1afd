package events_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

// soon is how quickly an idle system completes a consumer (2 s), and room for a
// machine with other things to do.
const soon = 6 * time.Second

// expectSoon is expect without a further event to help.
func (b *bus) expectSoon(account string, n int) {
	b.t.Helper()
	began := time.Now()
	testkit.Eventually(b.t, soon, func() string { return b.differs(account, n) })
	b.t.Logf("all there after %v", time.Since(began).Round(10*time.Millisecond))
}

// onePart puts all keys into one part.
func (b *bus) onePart() { b.repartition(1) }

func (b *bus) repartition(n int) {
	b.t.Helper()
	if _, err := postgres.NewLog(b.from.Pool()).Repartition(b.t.Context(), n); err != nil {
		b.t.Fatal(err)
	}
}

// placed waits until the log has n events in all.
func (b *bus) placed(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, func() string {
		if got := scan[int](b, b.from, `SELECT sum(last_pos) FROM event_parts`); got != n {
			return fmt.Sprintf("%d events in the log, want %d", got, n)
		}
		return ""
	})
}

// streamed waits until the streams hold n entries.
func (b *bus) streamed(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, func() string {
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
	testkit.Eventually(t, limit, func() string {
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

// lateConsumer starts a new consumer, and returns its effects.
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
	late, began := b.lateConsumer(), time.Now()
	testkit.Eventually(t, soon, func() string {
		if got := late(); len(got) != 10 {
			return fmt.Sprintf("a new consumer has %v", got)
		}
		return ""
	})
	t.Logf("a new consumer has all after %v", time.Since(began).Round(10*time.Millisecond))
	stop()
	saved.consumer()
	b.consume(record)
	b.expectSoon("a", 10)
	saved.consumer() // under a live consumer, too
	b.expectSoon("a", 10)
}

// The producer's database is restored while Redis is away; what is published then
// is sent, and the consumer has what the log has, once.
func TestProducerRestoredDuringARedisOutage(t *testing.T) {
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
	log := postgres.NewLog(b.from.Pool())
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
		testkit.Eventually(t, limit, func() string {
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
	testkit.Eventually(t, limit, func() string {
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

// aged is a log whose answers are from before there were events.
type aged struct{ events.Source }

func (a aged) Ask(ctx context.Context, producer string, questions []events.Question) ([]events.Part, error) {
	parts, err := a.Source.Ask(ctx, producer, questions)
	for i := range parts {
		parts[i].Head = parts[i].Base
	}
	return parts, err
}

// An old answer, by which the log is short, does not purge from the inbox what a
// backup that is newer than the producer's history would bring back.
func TestOldAnswerDoesNotPurgeTheInbox(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 3)
	b.expect("a", 3)
	stop()
	b.exec(b.to, `UPDATE event_inbox SET pos = 0, mark = 0`) // as going back leaves what is not on the history
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, aged{b.log()}, handledBy(record))
	<-time.After(1500 * time.Millisecond) // it tidies half a second after its start
	if n := scan[int64](b, b.to, `SELECT count(*) FROM event_inbox`); n != 3 {
		t.Errorf("the inbox has %d of 3 events", n)
	}
}
