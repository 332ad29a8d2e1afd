package events

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
)

// Handler takes an event's effect. What it writes with tx is applied exactly
// once. It must not keep tx, and should return when ctx is done: it has
// HandlerTimeout.
type Handler[T any] func(ctx context.Context, tx *gorm.DB, payload T) error

// HandlerTimeout bounds one call of a handler.
const HandlerTimeout = 10 * time.Second

// Consumer hands the events that a service subscribes to over to its handlers.
// Every instance of the service runs one; the partitions are shared out evenly
// among them, each to one owner at a time.
//
// Handlers are registered with On before Run. A Consumer runs once.
type Consumer struct {
	name     string
	db       *database.DB
	redis    redis.UniversalClient
	dial     func() redis.UniversalClient
	history  History
	cfg      Config
	deps     Deps
	metrics  *consumerMetrics
	sources  []string
	handlers map[string]handler
	ignored  map[string]bool // known types without a handler
	forgot   time.Time       // when old rows were removed last
}

// ConsumerOptions is what a Consumer works with.
type ConsumerOptions struct {
	// Name is the consumer group: the service's name.
	Name string
	// DB is where offsets and inbox stand, and what handlers write to. Its
	// pool should not be the one that serves requests.
	DB *database.DB
	// Redis is used for short commands, and Dial for a client of its own per
	// partition, which waits for entries and is closed to end the wait.
	Redis redis.UniversalClient
	Dial  func() redis.UniversalClient
	// History is asked for what a stream lacks.
	History History
	Config  Config
	Deps    Deps
}

// NewConsumer makes a consumer with no handlers.
func NewConsumer(o ConsumerOptions) *Consumer {
	return &Consumer{
		name: o.Name, db: o.DB, redis: o.Redis, dial: o.Dial, history: o.History, cfg: o.Config,
		deps: o.Deps, metrics: newConsumerMetrics(o.Deps.Metrics), handlers: map[string]handler{}, ignored: map[string]bool{},
	}
}

// Run consumes until ctx is done; then it finishes the events in hand, commits,
// acknowledges and gives its partitions back. It survives a Postgres or a Redis
// that is away. The result is nil.
func (c *Consumer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.retryParked(ctx) })
	for ctx.Err() == nil {
		if err := c.own(ctx); err != nil && ctx.Err() == nil {
			c.deps.Log.WarnContext(ctx, "consumer interrupted", "error", err)
			pause(ctx, retryMin)
		}
	}
	return nil
}

// feed is one partition that the consumer subscribes to.
type feed struct {
	source string
	part   int
}

func (f feed) stream() string { return StreamName(f.source, f.part) }

func (c *Consumer) feeds() []feed {
	var feeds []feed
	for _, s := range c.sources {
		for part := range c.cfg.Partitions {
			feeds = append(feeds, feed{s, part})
		}
	}
	return feeds
}
