package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestHandlerSetsTheRetryDelay(t *testing.T) {
	b := setup(t)
	b.relay()
	var calls atomic.Int64
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if calls.Add(1) <= 2 { // in line, and once more with a savepoint
			return events.RetryAfter(errors.New("too many requests"), time.Hour)
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 1)
	parked := b.parked("waiting", 1)[0]
	if wait := time.Until(parked.NextAt); wait < 50*time.Minute || wait > time.Hour {
		t.Errorf("next attempt in %v", wait)
	}
	if n, err := b.operator().Redrive(t.Context(), admin.Selection{All: true}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	b.expect("a", 1)
}

// A handler that takes too long has failed, even if it returns nil.
func TestHandlerThatOverrunsAndReturnsNil(t *testing.T) {
	b := setup(t)
	b.relay()
	var slow atomic.Int64
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 3 && slow.Add(1) == 1 {
			<-ctx.Done()
			return nil
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 5)
	b.publish("b", 1, 2)
	b.expect("b", 2)
	b.expect("a", 5)
}

func TestHandlerThatPanicsParksItsEvent(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil {
			return err
		}
		if d.Account == "a" && d.N == 3 {
			panic(errors.New("out of order"))
		}
		return nil
	})
	b.publish("a", 1, 5)
	b.publish("b", 1, 2)
	b.expect("b", 2)
	b.expect("a", 2)
	if p := b.parked("", 3)[0]; p.Error != "handler panicked: out of order" {
		t.Errorf("parked with %q", p.Error)
	}
}

// A statement of the handler failed and the handler did not mind.
func TestHandlerThatHidesAFailedStatement(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.Account == "a" && d.N == 2 {
			_ = tx.Exec(`SELECT 1/0`).Error
			return nil
		}
		return record(ctx, tx, d)
	})
	b.publish("a", 1, 3)
	b.publish("b", 1, 3)
	b.expect("b", 3)
	b.expect("a", 1)
	b.parked("", 2)
}

func TestUndecodableEventIsDeadAtOnce(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	publishAs(t, b, events.NewType(publisher, "deposit.made", 1, func(string) string { return "odd" }), "not a deposit")
	b.publish("a", 1, 5)
	b.expect("a", 5)
	if dead := b.parked("dead", 1)[0]; dead.Key != "odd" || dead.Error == "" {
		t.Errorf("dead letter %+v", dead)
	}
}

// Types that no release handles pass by, and come back when one does.
func TestUnseenTypesComeBack(t *testing.T) {
	b := setup(t)
	b.relay()
	blessed := events.NewType(publisher, "deposit.blessed", 1, func(d deposit) string { return d.Account })
	stop := b.consume(record)
	publishAs(t, b, blessed, deposit{"blessed", 1})
	b.publish("a", 1, 3)
	publishAs(t, b, blessed, deposit{"blessed", 2})
	b.expect("a", 3)
	b.taken(5)
	stop()
	s := handledBy(record)
	events.On(s, blessed, record)
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	replay := admin.Replay{Service: publisher, Position: new(int64), Unseen: true}
	if n, err := b.operator().Replay(t.Context(), replay); n != 5 || err != nil {
		t.Fatalf("replay of %d, %v", n, err)
	}
	b.expect("blessed", 2)
	b.taken(5)
	b.expect("a", 3)
}

// A producer publishes a new type before any consumer knows it: such events pass by,
// counted, and those before and behind them take effect in order.
func TestNewTypeBeforeAnyConsumer(t *testing.T) {
	b := setup(t)
	b.relay()
	blessed := events.NewType(publisher, "deposit.blessed", 1, func(d deposit) string { return d.Account })
	deps := testkit.EventDeps(t)
	registry := prometheus.NewRegistry()
	deps.Metrics = registry
	c := consumer.New(consumer.Options{
		Instance: 7, DB: postgres.NewConsumer(testkit.Open(t, b.to.Name()), subscriber), Source: b.log(),
		Config: testkit.EventConfig(), Deps: deps, Subscriptions: handledBy(record),
		Streams: consumer.NewRedis(func() redis.UniversalClient { return redis.NewClient(b.redis.Options()) }, testkit.Env),
	})
	testkit.Run(t, c.Run)
	b.publish("a", 1, 1)
	publishAs(t, b, blessed, deposit{"a", 2})
	publishAs(t, b, blessed, deposit{"b", 1})
	b.publish("a", 2, 2)
	b.expect("a", 2)
	b.taken(4)
	want := `# HELP event_consumer_events_total Events by what became of them.
# TYPE event_consumer_events_total counter
event_consumer_events_total{event="deposit.made",outcome="done"} 2
event_consumer_events_total{event="other",outcome="passed"} 2
`
	testkit.Eventually(t, limit, func() string {
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "event_consumer_events_total"); err != nil {
			return err.Error()
		}
		return ""
	})
	b.parked("", 0)
}

// taken waits until the consumer has come n events far.
func (b *bus) taken(n int) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, func() string {
		if got := scan[int](b, b.to, `SELECT coalesce(sum(pos), 0) FROM event_offsets`); got != n {
			return fmt.Sprintf("%d events taken, want %d", got, n)
		}
		return ""
	})
}

// In a rolling deploy the release before meets what only the new one knows.
func TestNewerEventsWaitForAReleaseThatKnowsThem(t *testing.T) {
	b := setup(t)
	b.relay()
	blessed := events.NewType(publisher, "deposit.blessed", 1, func(d deposit) string { return d.Account })
	newer := events.NewType(publisher, "deposit.made", 2, func(d deposit) string { return d.Account })
	next := events.NewSubscriptions()
	events.On(next, newer, record)
	events.On(next, blessed, record)
	if err := postgres.NewConsumer(b.to, subscriber).Declare(t.Context(), next); err != nil { // migrate
		t.Fatal(err)
	}
	b.consume(record)
	publishAs(t, b, blessed, deposit{"a", 1})
	publishAs(t, b, newer, deposit{"a", 2})
	publishAs(t, b, newer, deposit{"b", 1})
	b.publish("a", 3, 3)
	b.publish("c", 1, 1)
	b.expect("c", 1)
	b.parked("ahead", 2)
	b.parked("behind", 2)
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), next)
	testkit.Eventually(t, limit, func() string {
		b.due()
		return b.differs("a", 3)
	})
	b.expect("b", 1)
}

func TestOldVersionIsUpcast(t *testing.T) {
	b := setup(t)
	b.relay()
	type first struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	old := events.NewType(publisher, "deposit.renamed", 1, func(f first) string { return f.Name })
	now := events.NewType(publisher, "deposit.renamed", 2, func(d deposit) string { return d.Account })
	s := events.NewSubscriptions()
	events.On(s, now, record, events.Upcast(1, func(f first) (deposit, error) { return deposit{f.Name, f.N}, nil }))
	testkit.Consumer(t, subscriber, b.to, b.redis, b.log(), s)
	publishAs(t, b, old, first{"a", 1})
	publishAs(t, b, now, deposit{"a", 2})
	b.expect("a", 2)
}
