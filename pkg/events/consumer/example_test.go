package consumer_test

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
)

// A service runs one consumer per instance; chassis does so for subscriptions that
// are given to it.
func Example() {
	_ = func(ctx context.Context, db *database.DB, dial func() redis.UniversalClient, logs events.Source, deps events.Deps) error {
		c := consumer.New(consumer.Options{
			Instance:      42, // differs between instances
			DB:            postgres.NewConsumer(db, "mail-service"),
			Streams:       consumer.NewRedis(dial, "production"),
			Source:        logs,
			Subscriptions: events.NewSubscriptions(), // filled with events.On
			Config:        events.Config{Retries: 4},
			Deps:          deps,
		})
		return c.Run(ctx) // until ctx is done
	}
	// Output:
}
