package idempotency

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// Config is read from the environment.
type Config struct {
	// Retention is how long a key is remembered, and so how long a request can be
	// repeated without making something a second time.
	Retention time.Duration `env:"IDEMPOTENCY_RETENTION" envDefault:"24h" validate:"min=1h,max=720h"`
}

const (
	purgeAtOnce = 500 // keys in one statement, which is over in milliseconds
	purgeEvery  = time.Minute
)

// Purge removes keys that were kept long enough. A request repeated after that is a
// new one. It is safe for concurrent use, in several instances too.
type Purge struct {
	DB     *gorm.DB
	Config Config
	Log    *slog.Logger
}

// Run purges about once a minute until ctx is done, and then returns nil. What cannot
// be done now is logged and done the next time.
func (p Purge) Run(ctx context.Context) error {
	for {
		if err := p.Once(ctx); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "purge of idempotency keys failed; will retry", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(purgeEvery/2 + rand.N(purgeEvery)):
		}
	}
}

// Once removes all keys that are old enough now, by the database's clock, a few at a
// time. It leaves alone what another transaction holds.
func (p Purge) Once(ctx context.Context) error {
	for {
		done := p.DB.WithContext(ctx).Exec(`
DELETE FROM idempotency_keys WHERE (caller, key) IN (
	SELECT caller, key FROM idempotency_keys WHERE created_at < now() - make_interval(secs => ?)
	ORDER BY created_at LIMIT ? FOR UPDATE SKIP LOCKED)`, p.Config.Retention.Seconds(), purgeAtOnce)
		if done.Error != nil {
			return fmt.Errorf("purge idempotency keys: %w", done.Error)
		}
		if done.RowsAffected < purgeAtOnce {
			return nil
		}
	}
}
