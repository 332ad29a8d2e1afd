package events_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
)

// Effects and Redis are gone; the log brings the same effects back.
func TestReplayRestoresTheEffects(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 30)
	b.publish("b", 1, 20)
	b.expect("a", 30)
	b.expect("b", 20)
	b.repartition(3)
	b.publish("a", 31, 35)
	b.expect("a", 35)
	b.exec(b.to, `TRUNCATE effects`)
	if err := b.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64)}); n != 55 || err != nil {
		t.Fatalf("replay of %d events, %v", n, err)
	}
	b.expectSoon("a", 35)
	b.expectSoon("b", 20)
	b.publish("a", 36, 40)
	b.expect("a", 40)
}

// A replay leaves no guard off: what is restored or written later is applied once.
func TestRestoreAfterReplay(t *testing.T) {
	b := setup(t)
	b.onePart()
	stop := b.relay()
	b.consume(record)
	b.publish("a", 1, 6)
	b.expect("a", 6)
	saved := b.backup()
	b.publish("a", 7, 10)
	b.expect("a", 10)
	b.exec(b.to, `TRUNCATE effects`)
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64)}); n != 10 || err != nil {
		t.Fatalf("replay of %d, %v", n, err)
	}
	b.expect("a", 10)
	stop()
	saved.producer() // 7 to 10 are gone
	b.relay()
	b.publish("a", 11, 13)
	b.expect("a", 13)
}

func TestReplaySinceATime(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	since := scan[time.Time](b, b.from, `SELECT clock_timestamp()`)
	b.publish("a", 11, 15)
	b.expect("a", 15)
	b.exec(b.to, `DELETE FROM effects WHERE n > 10`)
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Since: &since}); n != 5 || err != nil {
		t.Fatalf("replay of %d events, %v", n, err)
	}
	b.expect("a", 15)
}

func TestReplayRefuses(t *testing.T) {
	b := setup(t)
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 3)
	b.expect("a", 3)
	seven, since, none := int64(7), time.Now(), int64(99)
	for _, c := range []struct {
		name string
		do   admin.Replay
		want error
	}{
		{"no beginning", admin.Replay{Service: publisher}, admin.ErrReplayFrom},
		{"two beginnings", admin.Replay{Service: publisher, Position: &seven, Since: &since}, admin.ErrReplayFrom},
		{"a position of no partition", admin.Replay{Service: publisher, Position: &seven}, admin.ErrPositionOfAll},
		{"a stranger's events", admin.Replay{Service: "stranger", Since: &since}, admin.ErrNotSubscribed},
		{"no such partition", admin.Replay{Service: publisher, Partition: &none, Since: &since}, admin.ErrNoSuchPart},
	} {
		if n, err := b.operator().Replay(t.Context(), c.do); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
	b.exec(b.to, `UPDATE event_offsets SET mark = 1 WHERE pos > 0`) // not on the producer's history
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64)}); n != 0 || !errors.Is(err, admin.ErrRepairing) {
		t.Errorf("off the history: %d, %v", n, err)
	}
	stop()
	b.exec(b.to, `UPDATE event_offsets SET pos = 0, mark = 0`) // gone back, and not yet met all again
	b.exec(b.to, `UPDATE event_inbox SET pos = 0, mark = 0`)
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64)}); n != 0 || !errors.Is(err, admin.ErrRepairing) {
		t.Errorf("on the way through what was taken before: %d, %v", n, err)
	}
}

// changing is a log whose history changes after its first answer, as with a failover.
type changing struct {
	events.Source
	change func()
}

func (c *changing) Ask(ctx context.Context, producer string, questions []events.Question) ([]events.Part, error) {
	parts, err := c.Source.Ask(ctx, producer, questions)
	if c.change != nil {
		c.change()
		c.change = nil
	}
	return parts, err
}

// A replay does not go back to a place on another history than the consumer's.
func TestHistoryChangesDuringAReplay(t *testing.T) {
	b := setup(t)
	b.onePart()
	stopRelay := b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 3)
	b.expect("a", 3)
	saved := b.backup()
	b.publish("b", 1, 3) // will be lost by the restore
	b.expect("b", 3)
	stop()
	stopRelay()
	o := b.operator()
	part := scan[int64](b, b.from, `SELECT max(part) FROM event_log`)
	o.Source = &changing{b.log(), func() {
		saved.producer()
		b.publish("c", 1, 3) // at the positions of those that are lost
		stopRelay := b.relay()
		b.placed(6)
		stopRelay()
	}}
	if n, err := o.Replay(t.Context(), admin.Replay{Service: publisher, Partition: &part, Position: new(int64(5))}); !errors.Is(err, admin.ErrRepairing) {
		t.Errorf("replay of %d events, %v; want %v", n, err, admin.ErrRepairing)
	}
	b.relay()
	b.consume(record)
	b.expect("a", 3)
	b.expect("c", 3)
}

// A parked event that is not on the producer's history keeps waiting through a replay:
// the inbox has it still, so it would not be taken when an older backup brings it back.
func TestReplayKeepsWhatWaitsOffTheHistory(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	var cured atomic.Bool
	b.consume(failing(&cured, func(d deposit) error {
		if d.Account == "b" {
			return errors.New("not yet")
		}
		return nil
	}))
	b.publish("b", 1, 1)
	b.publish("a", 1, 3)
	b.expect("a", 3)
	waits := b.parked("", 1)[0]
	b.exec(b.to, `UPDATE event_inbox SET pos = 0, mark = 0 WHERE event_id = ?`, waits.ID) // as going back leaves it
	b.exec(b.to, `DELETE FROM effects`)
	if n, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64)}); n != 4 || err != nil {
		t.Errorf("replay of %d events, %v", n, err)
	}
	b.expect("a", 3)
	b.parked("", 1)
	cured.Store(true)
	b.due()
	b.expect("b", 1)
}
