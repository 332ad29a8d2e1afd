package idempotency_test

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/idempotency"
)

type thing struct{ ID uuid.UUID }

// A service's create: repeated with the same key, it returns the first thing's id.
func ExampleOnce() {
	create := func(ctx context.Context, db *gorm.DB, request string) (uuid.UUID, error) {
		t := thing{ID: uuid.New()}
		return idempotency.Once(ctx, db, request, t.ID, func(tx *gorm.DB) error {
			return tx.Create(&t).Error
		})
	}
	_ = create
}
