package events_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

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

// A program with access to Redis writes anything: rubbish, the next position, a copy of
// an event that is still to come, ids that leave none above them, another type.
func TestForeignEntriesAreIgnored(t *testing.T) {
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
