package chassis

import (
	"context"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/httpapi"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
)

// Connections to Postgres besides those for requests, so that events and requests do
// not starve each other.
const (
	relayPool    = 6 // the readers of the log leave two to the relay
	consumerPool = 8
)

// Relay makes the service a producer: Run sends its events to consumers, and any service
// may read its event log. Call it in Wire.
func (c *Chassis) Relay() { c.relays = true }

// Consume makes the service a consumer: Run calls the handlers in s. Call it in Wire.
func (c *Chassis) Consume(s *events.Subscriptions) { c.subscriptions = s }

func (c *Chassis) openEvents(ctx context.Context) error {
	if c.relays {
		if err := c.openRelay(ctx); err != nil {
			return err
		}
	}
	if c.subscriptions != nil {
		return c.openConsumer(ctx)
	}
	return nil
}

func (c *Chassis) openRelay(ctx context.Context) error {
	db, err := c.eventPool(ctx, relayPool)
	if err != nil {
		return err
	}
	log := postgres.NewLog(db.Pool())
	c.relay = relay.New(relay.Options{
		Instance: instance(), DB: log, Streams: relay.NewRedis(c.redis, c.Config.Env, c.Config.Service),
		Config: c.Config.Events, Deps: c.eventDeps(),
		Committed: c.outbox.Committed(), Hints: events.NewHints(c.redis, c.Config.Env, c.Config.Service),
	})
	httpapi.ServeLog(c.HTTP, log)
	httpapi.ServePartitions(c.operator, log)
	return nil
}

func (c *Chassis) openConsumer(ctx context.Context) error {
	db, err := c.eventPool(ctx, consumerPool)
	if err != nil {
		return err
	}
	name, source := c.Config.Service, httpapi.Reader{Client: c.backgroundClient}
	c.consumer = consumer.New(consumer.Options{
		Instance: instance(), DB: postgres.NewConsumer(db, name),
		Streams: consumer.NewRedis(c.dialRedis, c.Config.Env), Source: source, Subscriptions: c.subscriptions,
		Config: c.Config.Events, Deps: c.eventDeps(), Hints: events.NewHints(c.redis, c.Config.Env, name),
	})
	httpapi.ServeOperator(c.operator, &admin.Operator{
		DB: db, Name: name, Source: source, Sources: c.subscriptions.Sources(), Log: c.Log,
	})
	return nil
}

// instance returns a number that no other instance has.
func instance() int64 { return rand.Int64N(1<<62) + 1 }

func (c *Chassis) eventPool(ctx context.Context, size int) (*database.DB, error) {
	cfg := c.Config.Database
	cfg.PoolMax, cfg.PoolMin, cfg.PoolAcquire = size, 0, consumer.HandlerTime
	return c.openPool(ctx, cfg)
}

func (c *Chassis) eventDeps() events.Deps {
	return events.Deps{Log: c.Log, Metrics: c.Metrics.Registry(), Tracer: c.Tracer}
}

// dialRedis returns a client with one dedicated connection.
func (c *Chassis) dialRedis() redis.UniversalClient {
	opts, err := c.Config.redisOptions()
	if err != nil {
		panic(err) // openRedis has parsed it
	}
	opts.PoolSize, opts.MaxIdleConns = 1, 1
	return c.newRedis(opts)
}
