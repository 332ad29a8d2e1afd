package relay_test

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
)

// Every instance of a publishing service runs a relay; one of them leads. outbox is
// the one that was installed in db with gorm's Use.
func Example() {
	_ = func(ctx context.Context, db *database.DB, rdb redis.UniversalClient, outbox *events.Outbox, deps events.Deps) error {
		r := relay.New(relay.Options{
			Instance:  42, // differs between instances
			DB:        postgres.NewLog(db.Pool()),
			Streams:   relay.NewRedis(rdb, "production", outbox.Service()),
			Committed: outbox.Committed(),
			Hints:     events.NewHints(rdb, "production", outbox.Service()),
			Config:    events.Config{LogDays: 7, StreamCap: 10_000},
			Deps:      deps,
		})
		return r.Run(ctx) // until ctx is done
	}
	// Output:
}
