package services

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/services/order-service/internal/models"
)

const (
	forgetAtOnce = 500 // keys in one statement, which is over in milliseconds
	forgetEvery  = time.Minute
)

// Keys forgets idempotency keys that were kept long enough. A request repeated
// after that is a new one. It is safe for concurrent use, in several replicas too.
type Keys struct {
	db   *gorm.DB
	keep time.Duration
	log  *slog.Logger
}

// NewKeys keeps the keys in db for that long.
func NewKeys(db *gorm.DB, keep time.Duration, log *slog.Logger) *Keys {
	return &Keys{db: db, keep: keep, log: log}
}

// Run forgets old keys about once a minute until ctx is done. It gives no error:
// what cannot be done now is logged and done the next time.
func (k *Keys) Run(ctx context.Context) error {
	for {
		if err := k.Forget(ctx); err != nil && ctx.Err() == nil {
			k.log.WarnContext(ctx, "idempotency keys are kept for longer", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(forgetEvery/2 + rand.N(forgetEvery)):
		}
	}
}

// Forget removes all keys that are old enough now, a few at a time.
func (k *Keys) Forget(ctx context.Context) error {
	for {
		n, err := models.ForgetKeys(k.db.WithContext(ctx), k.keep, forgetAtOnce)
		if err != nil {
			return fmt.Errorf("forget idempotency keys: %w", err)
		}
		if n < forgetAtOnce {
			return nil
		}
	}
}
