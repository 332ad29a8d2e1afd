package services

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// published returns when the event of ctx was published, so that a replay writes the
// same times.
func published(ctx context.Context) time.Time {
	if event, ok := events.FromContext(ctx); ok {
		return event.Published
	}
	return database.Now()
}

// The handlers below run in the transaction tx of the delivery. A replay delivers events
// again; events with different keys come in any order.

// OnUserChanged handles user.created and user.updated: it creates the profile and keeps
// its name up to date.
func (s *Profiles) OnUserChanged(ctx context.Context, tx *gorm.DB, u contracts.UserChange) error {
	now := published(ctx)
	err := models.PutName(tx, &models.Profile{
		UserID: u.UserID, Name: u.Name, Revision: u.Revision, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("put name: %w", err)
	}
	return nil
}

// OnUserDeleted handles user.deleted: it deletes all data of the user and leaves a
// tombstone, so that late events cannot recreate it.
func (s *Profiles) OnUserDeleted(ctx context.Context, tx *gorm.DB, u contracts.UserDeletion) error {
	if err := models.LockUser(tx, u.UserID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	if err := models.PutTombstone(tx, u.UserID, published(ctx)); err != nil {
		return fmt.Errorf("put tombstone: %w", err)
	}
	if err := models.DeleteCompletedOrders(tx, u.UserID); err != nil {
		return fmt.Errorf("delete completed orders: %w", err)
	}
	return nil
}

// OnOrderCompleted handles order.completed: it adds the order to the user's total, also if
// the user is not known yet, but not if the user is deleted. The events of an order and of
// its user have different keys and so no common order. Without the lock an order could be
// added while its user is being deleted, and remain.
func (s *Profiles) OnOrderCompleted(_ context.Context, tx *gorm.DB, o contracts.OrderChange) error {
	if err := models.LockUserShared(tx, o.UserID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	if gone, err := models.IsTombstone(tx, o.UserID); err != nil || gone {
		return err
	}
	err := models.PutCompletedOrder(tx, &models.CompletedOrder{
		OrderID: o.OrderID, UserID: o.UserID, Currency: o.Currency, Total: o.Total,
	})
	if err != nil {
		return fmt.Errorf("count order: %w", err)
	}
	return nil
}
