package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// Ours is package events, put together as a service does.
type Ours struct {
	servers   *servers.Servers
	service   string // publishing, and its database
	redis     *redis.Client
	outbox    *events.Outbox
	kind      events.Type[Event]
	published *database.DB // of the publishing service
	applied   *database.DB // of the subscribed one
}

// order is the application's own row.
type order struct {
	ID   int64
	N    int
	Note string
}

// NewOurs prepares the two services' databases.
func NewOurs(ctx context.Context, s *servers.Servers) (*Ours, error) {
	name := servers.NewName()
	o := &Ours{
		servers: s, service: name, redis: s.NewRedis(poolSize), outbox: events.NewOutbox(name),
		kind: events.NewType(name, "order.placed", 1, Event.Key),
	}
	var err error
	if o.published, err = o.createDatabase(ctx, name); err == nil {
		err = errors.Join(o.published.Gorm.Use(o.outbox), o.published.Gorm.Exec(business).Error)
	}
	if err == nil {
		o.applied, err = o.createDatabase(ctx, servers.NewName())
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Ours) createDatabase(ctx context.Context, name string) (*database.DB, error) {
	if err := o.servers.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, o.servers.Config(poolSize), name)
	if err != nil {
		return nil, err
	}
	return db, db.Migrate(ctx, events.Schema())
}

// Close implements Pipeline.
func (o *Ours) Close() error {
	errs := []error{o.servers.RemoveKeys(env + ":events:{" + o.service + ":*"), o.redis.Close()}
	for _, db := range []*database.DB{o.published, o.applied} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// env is the environment of the streams.
const env = "bench"

// Write implements Pipeline.
func (o *Ours) Write(ctx context.Context, e Event) error { return o.write(ctx, o.published, e) }

func (o *Ours) write(ctx context.Context, db *database.DB, e Event) error {
	return db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&order{N: e.N, Note: note}).Error; err != nil {
			return err
		}
		return events.Publish(ctx, tx, o.kind, e)
	})
}

// WriteWithoutEvent commits the business row only.
func (o *Ours) WriteWithoutEvent(ctx context.Context, e Event) error {
	return o.published.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return tx.Create(&order{N: e.N, Note: note}).Error
	})
}

// FillOutbox implements Pipeline.
func (o *Ours) FillOutbox(ctx context.Context, all []Event) error {
	return fill(all, func(batch []Event) error {
		return o.published.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			for _, e := range batch {
				if err := events.Publish(ctx, tx, o.kind, e); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

const fillTime = 5 * time.Minute

// FillStream implements Pipeline.
func (o *Ours) FillStream(ctx context.Context, all []Event) error {
	before, err := o.Appended(ctx)
	if err != nil {
		return err
	}
	if err := o.FillOutbox(ctx, all); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	relayed := make(chan error, 1)
	go func() { relayed <- o.Relay(ctx) }()
	err = poll.Until(ctx, fillTime, func() error {
		have, err := o.Appended(ctx)
		if want := before + int64(len(all)); err == nil && have != want {
			err = fmt.Errorf("the stream holds %d entries, %d were committed", have, want)
		}
		return err
	})
	cancel()
	return errors.Join(err, <-relayed)
}

// Appended implements Pipeline.
func (o *Ours) Appended(ctx context.Context) (int64, error) {
	parts, err := postgres.NewLog(o.published.Pool()).Ask(ctx, nil)
	if err != nil {
		return 0, err
	}
	streams := make([]string, len(parts))
	for i, p := range parts {
		streams[i] = events.StreamName(env, o.service, p.Number)
	}
	return appended(ctx, o.redis, streams...)
}

// Relay implements Pipeline.
func (o *Ours) Relay(ctx context.Context) error {
	return o.relay(ctx, postgres.NewLog(o.published.Pool()), o.outbox, 1)
}

func (o *Ours) relay(ctx context.Context, db relay.Database, outbox *events.Outbox, instance int64) error {
	deps, err := o.deps(ctx)
	if err != nil {
		return err
	}
	return relay.New(relay.Options{
		Instance: instance, DB: db, Streams: relay.NewRedis(o.redis, env, o.service), Config: config, Deps: deps,
		Committed: outbox.Committed(), Hints: events.NewHints(o.redis, env, o.service),
	}).Run(ctx)
}

// config is the default.
var config = events.Config{LogDays: 7, StreamCap: 10_000, Retries: 4}

func (o *Ours) deps(ctx context.Context) (events.Deps, error) {
	tracer, err := tracing.Open(ctx, tracing.Config{SampleRatio: 1}, o.service)
	return events.Deps{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Tracer: tracer}, err
}

// Consume implements Pipeline.
func (o *Ours) Consume(ctx context.Context, h Handler) error {
	deps, err := o.deps(ctx)
	if err != nil {
		return err
	}
	handlers := events.NewSubscriptions()
	events.On(handlers, o.kind, func(_ context.Context, _ *gorm.DB, e Event) error {
		h(e)
		return nil
	})
	return consumer.New(consumer.Options{
		Instance: 1, DB: postgres.NewConsumer(o.applied, groupName),
		Source:        testkit.Logs{o.service: o.published},
		Streams:       consumer.NewRedis(func() redis.UniversalClient { return o.servers.NewRedis(1) }, env),
		Subscriptions: handlers, Config: config, Deps: deps, Hints: events.NewHints(o.redis, env, groupName),
	}).Run(ctx)
}

// Snapshot takes a snapshot of the publisher's database, which keeps dead rows from
// being removed until it is released.
func (o *Ours) Snapshot(ctx context.Context) (release func() error, err error) {
	conn, err := o.published.Connect(ctx)
	if err != nil {
		return nil, err
	}
	release = func() error { return conn.Close(context.WithoutCancel(ctx)) }
	_, err = conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders`)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take a snapshot: %w", err), release())
	}
	return release, nil
}
