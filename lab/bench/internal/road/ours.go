package road

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/tracing"
)

// Ours is package events, put together as a service does.
type Ours struct {
	lab      *lab.Lab
	service  string
	from, to string // databases
	redis    *redis.Client
	outbox   *events.Outbox
	kind     events.Type[Event]
	writer   *database.DB // of the publishing service
	receiver *database.DB // of the subscribed one
}

// order is the application's own row.
type order struct {
	ID   int64
	N    int
	Note string
}

// NewOurs prepares the two services' databases.
func NewOurs(ctx context.Context, l *lab.Lab) (*Ours, error) {
	name := lab.NewName()
	o := &Ours{
		lab: l, service: name, redis: l.NewRedis(poolSize),
		outbox: events.NewOutbox(name),
		kind:   events.NewType(name, "order.placed", 1, Event.Key),
	}
	if err := o.prepare(ctx); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Ours) prepare(ctx context.Context) error {
	var err error
	if o.from, o.writer, err = o.create(ctx); err != nil {
		return err
	}
	if err := o.writer.Gorm.Use(o.outbox); err != nil {
		return err
	}
	if err := o.writer.Gorm.Exec(business).Error; err != nil {
		return err
	}
	o.to, o.receiver, err = o.create(ctx)
	return err
}

func (o *Ours) create(ctx context.Context) (string, *database.DB, error) {
	name, err := o.lab.TakeDatabase(ctx)
	if err != nil {
		return "", nil, err
	}
	db, err := database.Open(ctx, o.lab.Config(poolSize), name)
	if err != nil {
		return name, nil, err
	}
	return name, db, db.Migrate(ctx, events.Schema())
}

// Close implements Road.
func (o *Ours) Close() error {
	var errs []error
	streams := o.streams()
	for _, db := range []*database.DB{o.writer, o.receiver} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs,
		o.lab.RemoveStreams(streams...), o.redis.Close(),
		o.lab.ReturnDatabase(o.from), o.lab.ReturnDatabase(o.to))...)
}

// env is the environment of the streams.
const env = "bench"

func (o *Ours) streams() []string {
	if o.writer == nil {
		return nil
	}
	log, err := postgres.NewLog(o.writer.Pool()).Ask(context.Background(), nil)
	if err != nil {
		return nil // the database is gone, and with it whoever would fill them
	}
	names := make([]string, len(log))
	for i, p := range log {
		names[i] = events.StreamName(env, o.service, p.Number)
	}
	return names
}

// Write implements Road.
func (o *Ours) Write(ctx context.Context, e Event) error {
	return o.write(ctx, o.writer, e)
}

func (o *Ours) write(ctx context.Context, db *database.DB, e Event) error {
	return db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&order{N: e.N, Note: note}).Error; err != nil {
			return err
		}
		return events.Publish(ctx, tx, o.kind, e)
	})
}

// WriteSilent commits the business row without an event.
func (o *Ours) WriteSilent(ctx context.Context, e Event) error {
	return o.writer.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return tx.Create(&order{N: e.N, Note: note}).Error
	})
}

// Fill implements Road.
func (o *Ours) Fill(ctx context.Context, all []Event) error {
	return fill(all, func(batch []Event) error {
		return o.writer.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			for _, e := range batch {
				if err := events.Publish(ctx, tx, o.kind, e); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Stock implements Road.
func (o *Ours) Stock(ctx context.Context, all []Event) error {
	before, err := o.Streamed(ctx)
	if err != nil {
		return err
	}
	if err := o.Fill(ctx, all); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	carried := make(chan error, 1)
	go func() { carried <- o.Carry(ctx) }()
	err = untilStreamed(ctx, o, before+int64(len(all)))
	cancel()
	return errors.Join(err, <-carried)
}

// Streamed implements Road.
func (o *Ours) Streamed(ctx context.Context) (int64, error) {
	return added(ctx, o.redis, o.streams()...)
}

// Carry implements Road.
func (o *Ours) Carry(ctx context.Context) error {
	return o.carry(ctx, postgres.NewLog(o.writer.Pool()), o.outbox, 1)
}

func (o *Ours) carry(ctx context.Context, db relay.Database, outbox *events.Outbox, instance int64) error {
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
	return events.Deps{Log: o.lab.Log, Metrics: prometheus.NewRegistry(), Tracer: tracer}, err
}

// Deliver implements Road.
func (o *Ours) Deliver(ctx context.Context, h Handler) error {
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
		Instance: 1, DB: postgres.NewConsumer(o.receiver, groupName), Source: logOf{postgres.NewLog(o.writer.Pool())},
		Streams:       consumer.NewRedis(func() redis.UniversalClient { return o.lab.NewRedis(1) }, env),
		Subscriptions: handlers, Config: config, Deps: deps, Hints: events.NewHints(o.redis, env, groupName),
	}).Run(ctx)
}

// logOf is the writer's log, without HTTP between.
type logOf struct{ log *postgres.Log }

// Ask implements events.Source.
func (l logOf) Ask(ctx context.Context, _ string, questions []events.Question) ([]events.Part, error) {
	return l.log.Ask(ctx, questions)
}

// Read implements events.Source.
func (l logOf) Read(ctx context.Context, _ string, part, pos int64) (events.Page, error) {
	return l.log.Page(ctx, part, pos)
}

// Seek implements events.Source.
func (l logOf) Seek(ctx context.Context, _ string, part int64, t time.Time) (int64, error) {
	return l.log.Seek(ctx, part, t)
}
