package testkit

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/tracing"
)

// EventDeps gives relay and consumer something to report to.
func EventDeps(t testing.TB) events.Deps {
	t.Helper()
	tracer, err := tracing.Open(t.Context(), tracing.Config{SampleRatio: 1}, "test")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return events.Deps{Log: log, Metrics: prometheus.NewRegistry(), Tracer: tracer}
}

// Published lists what has been published through db, in the order of the
// outbox and before it the log.
func Published(t testing.TB, db *database.DB) []events.Envelope {
	t.Helper()
	rows, err := db.Gorm.Raw(`
SELECT envelope FROM (
	SELECT envelope, moved_at, part, pos FROM event_log
	UNION ALL SELECT envelope, 'infinity', 0, id FROM event_outbox) e
ORDER BY moved_at, part, pos`).Rows()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	published := []events.Envelope{}
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			t.Fatal(err)
		}
		e, err := events.ParseEnvelope(raw)
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return published
}

// Relay runs the relay of what service publishes into db, until the result is
// called or the test ends.
func Relay(t testing.TB, service string, db *database.DB, rdb redis.UniversalClient) (stop func()) {
	t.Helper()
	outbox, ok := db.Gorm.Config.Plugins[(&events.Outbox{}).Name()].(*events.Outbox)
	if !ok {
		t.Fatal("database has no outbox")
	}
	relay := events.NewRelay(outbox, db, rdb, EventDeps(t))
	return Run(t, relay.Run)
}

// Consumer runs a consumer of the service name, with the handlers that
// subscribe registers, until the result is called or the test ends.
func Consumer(t testing.TB, name string, db *database.DB, rdb *redis.Client, history events.History, subscribe func(*events.Consumer)) (stop func()) {
	t.Helper()
	return ConsumerFor(t, events.DefaultConfig(), name, db, rdb, history, subscribe)
}

// ConsumerFor is Consumer for another configuration than the default.
func ConsumerFor(t testing.TB, cfg events.Config, name string, db *database.DB, rdb *redis.Client, history events.History, subscribe func(*events.Consumer)) (stop func()) {
	t.Helper()
	c := events.NewConsumer(events.ConsumerOptions{
		Name: name, DB: db, Redis: rdb, History: history,
		Dial: func() redis.UniversalClient {
			own := *rdb.Options()
			own.PoolSize = 1
			return redis.NewClient(&own)
		},
		Config: cfg, Deps: EventDeps(t),
	})
	subscribe(c)
	return Run(t, c.Run)
}

// LogOf is a History that reads the log in a test's database.
func LogOf(db *database.DB) events.History { return logOf{db} }

type logOf struct{ db *database.DB }

// Read implements events.History.
func (l logOf) Read(ctx context.Context, _ string, part int, after int64, limit int) ([]events.Recorded, error) {
	return events.ReadLog(ctx, l.db.Gorm, part, after, limit)
}

// Seek implements events.History.
func (l logOf) Seek(ctx context.Context, _ string, part int, t time.Time) (int64, error) {
	return events.SeekLog(ctx, l.db.Gorm, part, t)
}

// Run runs something long-lived until the result is called or the test ends,
// and fails the test if it ends with an error.
func Run(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// testWriter writes a log into the test's own.
type testWriter struct{ t testing.TB }

var _ io.Writer = testWriter{}

// Write implements io.Writer.
func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
