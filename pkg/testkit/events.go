package testkit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/tracing"
)

// EventDeps returns what relay and consumer report to.
func EventDeps(t testing.TB) events.Deps {
	t.Helper()
	tracer, err := tracing.Open(t.Context(), tracing.Config{SampleRatio: 1}, "test")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
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

// Env is the environment of the tests' streams.
const Env = "test"

// Relay runs the relay of what service publishes into db, until the result is
// called or the test ends.
func Relay(t testing.TB, service string, db *database.DB, rdb redis.UniversalClient) (stop func()) {
	t.Helper()
	return RelayFor(t, EventConfig(), service, db, rdb)
}

// RelayFor is Relay for another configuration than the default.
func RelayFor(
	t testing.TB, cfg events.Config, service string, db *database.DB, rdb redis.UniversalClient,
) (stop func()) {
	t.Helper()
	outbox, ok := db.Gorm.Config.Plugins[(&events.Outbox{}).Name()].(*events.Outbox)
	if !ok {
		t.Fatal("database has no outbox")
	}
	r := relay.New(relay.Options{
		Instance: rand.Int64(), DB: postgres.NewLog(db.Pool()), Streams: relay.NewRedis(rdb, Env, service),
		Config: cfg, Deps: EventDeps(t), Committed: outbox.Committed(), Hints: events.NewHints(rdb, Env, service),
	})
	return Run(t, r.Run)
}

// EventConfig is the configuration of an empty environment.
func EventConfig() events.Config { return events.Config{LogDays: 7, StreamCap: 10_000, Retries: 4} }

// Consumer runs a consumer of the service name, with the handlers in
// subscriptions, until the result is called or the test ends.
func Consumer(
	t testing.TB, name string, db *database.DB, rdb *redis.Client, source events.Source, subscriptions *events.Subscriptions,
) (stop func()) {
	t.Helper()
	c := consumer.New(consumer.Options{
		Instance: rand.Int64(), DB: postgres.NewConsumer(db, name), Source: source, Subscriptions: subscriptions,
		Streams: consumer.NewRedis(func() redis.UniversalClient {
			own := *rdb.Options()
			own.PoolSize = 1
			return redis.NewClient(&own)
		}, Env),
		Config: EventConfig(), Deps: EventDeps(t), Hints: events.NewHints(rdb, Env, name),
	})
	return Run(t, c.Run)
}

// Logs is a Source that reads the logs in the databases of tests, by service.
type Logs map[string]*database.DB

func (l Logs) log(producer string) *postgres.Log { return postgres.NewLog(l[producer].Pool()) }

// Ask implements events.Source.
func (l Logs) Ask(ctx context.Context, producer string, questions []events.Question) ([]events.Part, error) {
	return l.log(producer).Ask(ctx, questions)
}

// Read implements events.Source.
func (l Logs) Read(ctx context.Context, producer string, part, pos int64) (events.Page, error) {
	return l.log(producer).Page(ctx, part, pos)
}

// Seek implements events.Source.
func (l Logs) Seek(ctx context.Context, producer string, part int64, t time.Time) (int64, error) {
	return l.log(producer).Seek(ctx, part, t)
}

// Run runs something long-lived until the result is called or the test ends,
// and fails the test if it ends with an error.
func Run(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
