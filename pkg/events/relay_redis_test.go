package events_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
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

// A program that can read and write the stream continues the chain: at the right position,
// after the right mark, also with the id of an event that is still to come. The forged event
// is not applied, it is counted, and the genuine ones arrive.
func TestForgedEntryThatContinuesTheChain(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.relay()
	deps, exposed := testkit.EventDeps(t), prometheus.NewRegistry()
	deps.Metrics = exposed
	c := consumer.New(consumer.Options{
		Instance: 7, DB: postgres.NewConsumer(b.to, subscriber), Source: b.log(), Config: testkit.EventConfig(), Deps: deps,
		Streams:       consumer.NewRedis(func() redis.UniversalClient { return redis.NewClient(b.redis.Options()) }, testkit.Env),
		Subscriptions: handledBy(record),
	})
	testkit.Run(t, c.Run)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	if n := metric(t, exposed, "event_consumer_forged_entries_total"); n != 0 {
		t.Errorf("%v genuine entries count as forged", n)
	}
	for name, sealed := range map[string]bool{"without a seal": false, "with the seal of another entry": true} {
		n, counted := len(b.effects("a")), metric(t, exposed, "event_consumer_forged_entries_total")
		last, err := b.redis.XRevRangeN(t.Context(), b.stream(), "+", "-", 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		forged := map[string]any{"m": "1", "p": last[0].Values["m"], "e": fmt.Sprintf(
			`{"event":"deposit.made","data":{"account":"forged","n":1},"timestamp":"2026-01-01T00:00:00Z","service":%q,"id":%q,"key":"a","version":1}`,
			publisher, uuid.New())}
		if sealed {
			forged["s"] = last[0].Values["s"]
		}
		if err := b.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: b.stream(), ID: fmt.Sprint("0-", n+1), Values: forged}).Err(); err != nil {
			t.Fatal(name, err)
		}
		testkit.Eventually(t, limit, func() string {
			if forged := b.effects("forged"); len(forged) > 0 {
				t.Fatalf("%s: the forged event took effect", name)
			}
			if metric(t, exposed, "event_consumer_forged_entries_total") == counted {
				return name + ": not counted"
			}
			return ""
		})
		b.publish("a", n+1, n+5)
		b.expect("a", n+5)
		b.streamed(n + 5)
	}
	if forged := b.effects("forged"); len(forged) > 0 {
		t.Error("a forged event took effect")
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
