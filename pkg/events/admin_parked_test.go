package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// operator is what a person has.

func (b *bus) operator() *admin.Operator {
	return &admin.Operator{DB: b.to, Name: subscriber, Source: b.log(), Sources: []string{publisher}, Log: slog.New(slog.DiscardHandler)}
}

// parked waits until n events are parked in a state, "" for all.

func (b *bus) parked(state string, n int) []admin.Parked {
	b.t.Helper()
	var list []admin.Parked
	testkit.Eventually(b.t, limit, func() string {
		var err error
		if list, err = b.operator().Parked(b.t.Context(), state, 0, 10_000); err != nil {
			return err.Error()
		}
		if len(list) != n {
			return fmt.Sprintf("%d events are parked (%q), want %d: %+v", len(list), state, n, list)
		}
		return ""
	})
	return list
}

// due makes every key's next attempt due now.

func (b *bus) due() {
	b.exec(b.to, `UPDATE event_keys SET next_at = clock_timestamp() WHERE state <> 'dead'`)
}

// failing is a handler that fails as bad says, until it is cured.

func publishAs[T any](t *testing.T, b *bus, kind events.Type[T], payload T) {
	t.Helper()
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, kind, payload) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeadLetterIsRedrivenInOrder(t *testing.T) {
	b := setup(t)
	b.relay()
	var cured atomic.Bool
	b.consume(failing(&cured, func(d deposit) error {
		if d.Account == "a" && d.N == 3 {
			return events.Permanent(errors.New("bad data"))
		}
		return nil
	}))
	b.publish("a", 1, 10)
	b.publish("b", 1, 2)
	b.expect("b", 2)
	dead := b.parked("dead", 1)[0]
	b.parked("behind", 7)
	if dead.Key != "a" || dead.Error != "bad data" || dead.Attempts != 1 || dead.Event != deposited.Name() {
		t.Errorf("dead letter %+v", dead)
	}
	b.expect("a", 2)
	cured.Store(true)
	if n, err := b.operator().Redrive(t.Context(), admin.Selection{ID: &dead.ID}); n != 1 || err != nil {
		t.Errorf("redriven %d, %v", n, err)
	}
	b.expect("a", 10)
	b.parked("", 0)
}

func TestParkedKeysAreCounted(t *testing.T) {
	b := setup(t)
	b.relay()
	stop := b.consume(func(_ context.Context, _ *gorm.DB, d deposit) error {
		if d.Account == "a" {
			return errors.New("not yet")
		}
		return events.Permanent(errors.New("never"))
	})
	for _, account := range []string{"a", "b", "c"} {
		b.publish(account, 1, 2)
	}
	b.parked("", 6)
	stop()
	deps := testkit.EventDeps(t)
	deps.Metrics = prometheus.NewRegistry()
	c := consumer.New(consumer.Options{
		Instance: 7, DB: postgres.NewConsumer(b.to, subscriber), Source: b.log(), Config: testkit.EventConfig(), Deps: deps,
		Streams:       consumer.NewRedis(func() redis.UniversalClient { return redis.NewClient(b.redis.Options()) }, testkit.Env),
		Subscriptions: handledBy(func(context.Context, *gorm.DB, deposit) error { return errors.New("not yet") }),
	})
	testkit.Run(t, c.Run)
	testkit.Eventually(t, limit, func() string {
		want := "# HELP event_parked_keys Keys with parked events: waiting for an attempt or another release, or dead.\n" +
			"# TYPE event_parked_keys gauge\n" +
			"event_parked_keys{state=\"ahead\"} 0\nevent_parked_keys{state=\"dead\"} 2\nevent_parked_keys{state=\"waiting\"} 1\n"
		if err := testutil.GatherAndCompare(deps.Metrics.(*prometheus.Registry), strings.NewReader(want), "event_parked_keys"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// What failed is found again in the publisher's logs.

func TestDeadLetterNamesItsTrace(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(func(context.Context, *gorm.DB, deposit) error { return events.Permanent(errors.New("bad data")) })
	ctx := tracing.WithCarrier(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "")
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error { return events.Publish(ctx, tx, deposited, deposit{"a", 1}) })
	if err != nil {
		t.Fatal(err)
	}
	if dead := b.parked("dead", 1)[0]; dead.TraceID != "4bf92f35-77b3-4da6-a3ce-929d0e0e4736" {
		t.Errorf("dead letter names the trace %q", dead.TraceID)
	}
}

func TestDiscardedEventLetsItsKeyGoOn(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(failing(new(atomic.Bool), func(d deposit) error {
		if d.N == 1 {
			return events.Permanent(errors.New("bad data"))
		}
		return nil
	}))
	b.publish("a", 1, 3)
	b.parked("behind", 2)
	dead := b.parked("dead", 1)[0]
	n, err := b.operator().Discard(t.Context(), admin.Selection{ID: &dead.ID}, "known fault")
	if n != 1 || err != nil {
		t.Fatalf("discarded %d, %v", n, err)
	}
	b.publish("a", 4, 5)
	testkit.Eventually(t, limit, func() string {
		if got := b.effects("a"); fmt.Sprint(got) != "[2 3 4 5]" {
			return fmt.Sprint(got)
		}
		return ""
	})
	for name, command := range map[string]func(admin.Selection) (int64, error){
		"redrive": func(s admin.Selection) (int64, error) { return b.operator().Redrive(t.Context(), s) },
		"discard": func(s admin.Selection) (int64, error) { return b.operator().Discard(t.Context(), s, "again") },
	} {
		for _, id := range []uuid.UUID{dead.ID, uuid.Nil} {
			if n, err := command(admin.Selection{ID: &id}); n != 0 || !errors.Is(err, admin.ErrNotParked) {
				t.Errorf("%s of %s, which is not parked: %d, %v", name, id, n, err)
			}
		}
		if n, err := command(admin.Selection{}); n != 0 || !errors.Is(err, admin.ErrNothingSelected) {
			t.Errorf("%s of nothing: %d, %v", name, n, err)
		}
	}
}

// An event is discarded while its handler is at it: afterwards it is gone.

func TestDiscardWhileItIsTried(t *testing.T) {
	b := setup(t)
	b.relay()
	trying, leave := make(chan struct{}), make(chan struct{})
	b.consume(func(ctx context.Context, _ *gorm.DB, _ deposit) error {
		if m, _ := events.FromContext(ctx); m.Attempt == 2 {
			close(trying)
			select {
			case <-leave:
			case <-ctx.Done():
			}
		}
		return errors.New("not now")
	})
	b.publish("a", 1, 1)
	id := b.parked("", 1)[0].ID
	<-trying
	discarded := make(chan error, 1)
	go func() {
		_, err := b.operator().Discard(t.Context(), admin.Selection{ID: &id}, "given up")
		discarded <- err
	}()
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`); n == 0 {
			return "the discard does not wait for the handler"
		}
		return ""
	})
	close(leave)
	if err := <-discarded; err != nil {
		t.Fatal(err)
	}
	b.parked("", 0)
}

// One event among a hundred of other keys cannot be handled, and ten of its own

// key follow it. It dies only after ten attempts and a day.

// A hundred poisoned keys among a thousand hold up no other.

// What all handlers need is away: the events wait in the log and are not parked by

// the thousand.

// 5,000 events wait behind a dead letter: looking for what is due reads due keys

// and nothing else.

// What is parked of a key, contents included, goes with the event that supersedes

// it.

func TestPausedConsumerWaits(t *testing.T) {
	b := setup(t)
	b.relay()
	stop := b.consume(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	if err := b.operator().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM event_offsets WHERE owner <> 0`); n != 0 {
			return fmt.Sprintf("%d partitions are read", n)
		}
		return ""
	})
	b.publish("a", 6, 10)
	b.placed(10)
	stop()
	deps := testkit.EventDeps(t)
	reg := prometheus.NewRegistry()
	deps.Metrics = reg
	c := consumer.New(consumer.Options{
		Instance: 7, DB: postgres.NewConsumer(b.to, subscriber), Source: b.log(), Config: testkit.EventConfig(), Deps: deps,
		Streams:       consumer.NewRedis(func() redis.UniversalClient { return redis.NewClient(b.redis.Options()) }, testkit.Env),
		Subscriptions: handledBy(record),
	})
	testkit.Run(t, c.Run)
	testkit.Eventually(t, limit, func() string {
		if n := metric(t, reg, "event_consumer_lag"); n != 5 {
			return fmt.Sprintf("lag %v, want 5", n)
		}
		if n := metric(t, reg, "event_consumer_stalled_seconds"); n < 1.5 {
			return fmt.Sprintf("stalled for %v s", n)
		}
		return ""
	})
	b.expect("a", 5)
	status, err := b.operator().Status(t.Context())
	if err != nil || !status.Paused || status.Consumer != subscriber || len(status.Offsets) != 4 {
		t.Errorf("status %+v, %v", status, err)
	}
	if err := b.operator().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect("a", 10)
	testkit.Eventually(t, limit, func() string {
		if n := metric(t, reg, "event_consumer_stalled_seconds"); n != 0 {
			return fmt.Sprintf("still stalled for %v s", n)
		}
		return ""
	})
	if text, err := json.Marshal(status); err != nil || !strings.Contains(string(text), `"partition":"`) {
		t.Errorf("status reads %s, %v: a JSON number cannot hold a partition's", text, err)
	}
}

// metric returns the value of the only series of a gauge or a counter, 0 if there is none.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return 0
}
