package chassis

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/idempotency"
)

// schemas are the service's own migrations, and those of its events and idempotency
// keys.
func schemas(own fs.FS) []database.Schema {
	return []database.Schema{{Table: "schema_version", Files: own}, events.Schema(), idempotency.Schema()}
}

// migrate applies what is pending, and records which event types this release handles,
// so that older instances keep the new ones for it.
func (c *Chassis) migrate(ctx context.Context) error {
	cfg := c.Config.Database
	cfg.PoolAcquire = migrateTime
	db, err := database.Open(ctx, cfg, database.Name(c.Config.Service, c.Config.Env))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, c.schemas...); err != nil {
		return err
	}
	if c.subscriptions == nil {
		return nil
	}
	return postgres.NewConsumer(db, c.Config.Service).Declare(ctx, c.subscriptions)
}

// schemaCheck returns a readiness check that fails until the database is migrated.
func schemaCheck(db *database.DB, schemas []database.Schema) func(context.Context) error {
	var migrated atomic.Bool
	return func(ctx context.Context) error {
		if migrated.Load() {
			return nil
		}
		pending, err := db.Pending(ctx, schemas...)
		switch {
		case err != nil:
			return err
		case pending > 0:
			return fmt.Errorf("%d migrations are pending, apply them with the subcommand migrate", pending)
		}
		migrated.Store(true)
		return nil
	}
}

// observePool registers metrics of a pool.
func observePool(reg prometheus.Registerer, db *database.DB) error {
	for _, m := range []struct {
		name, help string
		value      func(*pgxpool.Stat) float64
	}{
		{"db_pool_connections_in_use", "Connections that a request or transaction holds.",
			func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }},
		{"db_pool_connections_idle", "Open connections that are not in use.",
			func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) }},
		{"db_pool_connections_max", "The most connections the pool opens.",
			func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }},
		{"db_pool_waits", "Waits for a connection since the start.",
			func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }},
	} {
		g := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, func() float64 { return m.value(db.Stat()) })
		if err := reg.Register(g); err != nil {
			return fmt.Errorf("register %s: %w", m.name, err)
		}
	}
	return nil
}
