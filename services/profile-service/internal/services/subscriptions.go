package services

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/services/profile-service/internal/models"
)

// published is when the event of ctx was published: whenever it is handled, also
// in a replay, it leaves the same times behind.
func published(ctx context.Context) time.Time {
	if event, ok := events.FromContext(ctx); ok {
		return event.Published
	}
	return database.Now()
}

// The handlers below work in the transaction tx of the delivery. Each may see
// an event again, or later than a newer one, without harm.

// Follow makes the profile of a user who registered and keeps its name up to
// date: user.created and user.updated.
func (s *Profiles) Follow(ctx context.Context, tx *gorm.DB, u contracts.UserChange) error {
	now := published(ctx)
	err := models.PutName(tx, &models.Profile{
		UserID: u.UserID, Name: u.Name, Revision: u.Revision, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("follow user: %w", err)
	}
	return nil
}

// Forget removes all that is known of a person and remembers only that the
// user is gone, so that nothing told late brings it back: user.deleted.
func (s *Profiles) Forget(ctx context.Context, tx *gorm.DB, u contracts.UserDeletion) error {
	if err := models.LockUser(tx, u.UserID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	if err := models.PutTombstone(tx, u.UserID, published(ctx)); err != nil {
		return fmt.Errorf("forget profile: %w", err)
	}
	if err := models.DeleteCompletedOrders(tx, u.UserID); err != nil {
		return fmt.Errorf("forget orders: %w", err)
	}
	return nil
}

// Count adds an order to what its user has completed, whether or not the user
// is known yet, but not for one who is gone: order.completed. Orders and users
// are told of in two streams with no order between them, hence the lock: without
// it an order could be counted while its user is being forgotten, and stay.
func (s *Profiles) Count(_ context.Context, tx *gorm.DB, o contracts.OrderChange) error {
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
