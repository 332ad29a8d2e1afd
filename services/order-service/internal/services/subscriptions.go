package services

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/services/order-service/internal/models"
)

// cancelBatch is the most orders that one event cancels in one transaction. Each holds the lock of its
// event's key until the commit, and all transactions of a Postgres share some thousand locks.
const cancelBatch = 200

// OnUserDeleted handles user.deleted: it cancels the user's pending orders and publishes
// order.cancelled for each. From then on the user can place none.
//
// Orders beyond cancelBatch are cancelled in separate transactions, before tx commits:
// if the time for one attempt is not enough, the next one continues with what is left.
func (s *Orders) OnUserDeleted(ctx context.Context, tx *gorm.DB, u contracts.UserDeletion) error {
	if err := models.LockUser(tx, u.UserID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	if err := models.PutDeletedUser(tx, u.UserID, database.Now()); err != nil {
		return fmt.Errorf("put deleted user: %w", err)
	}
	for {
		pending, err := models.CountPending(tx, u.UserID)
		if err != nil {
			return fmt.Errorf("count pending orders: %w", err)
		}
		if pending <= cancelBatch {
			return cancelPending(ctx, tx, u.UserID)
		}
		err = database.Transaction(ctx, s.db, func(own *gorm.DB) error { return cancelPending(ctx, own, u.UserID) })
		if err != nil {
			return err
		}
	}
}

// cancelPending cancels at most cancelBatch orders.
func cancelPending(ctx context.Context, tx *gorm.DB, userID uuid.UUID) error {
	cancelled, err := models.CancelPending(tx, userID, database.Now(), cancelBatch)
	if err != nil {
		return fmt.Errorf("cancel pending orders: %w", err)
	}
	for _, order := range cancelled {
		if err := events.Publish(ctx, tx, contracts.OrderCancelled, change(order)); err != nil {
			return err
		}
	}
	return nil
}

// refuseDeleted returns ErrUnknownUser for a user whose deletion was handled, which may be
// after checkUser found the user. The lock makes the deletion wait until tx ends: it then
// finds the order that tx places.
func refuseDeleted(tx *gorm.DB, userID uuid.UUID) error {
	if err := models.LockUserShared(tx, userID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	gone, err := models.IsDeletedUser(tx, userID)
	if err != nil {
		return fmt.Errorf("find deleted user: %w", err)
	}
	if gone {
		return ErrUnknownUser
	}
	return nil
}
