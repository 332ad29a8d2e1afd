package models

import (
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// CompletedOrder is a row of completed_orders.
type CompletedOrder struct {
	OrderID  uuid.UUID `gorm:"primaryKey"`
	UserID   uuid.UUID
	Currency string
	Total    int64 // minor units of Currency
}

// OrderTotal is a row of the view order_totals: what a user's completed orders
// in one currency come to.
type OrderTotal struct {
	UserID   uuid.UUID
	Currency string
	Orders   int64
	Total    int64 // minor units of Currency, at most 2⁵³−1
}

// PutCompletedOrder adds o, unless it is there.
func PutCompletedOrder(tx *gorm.DB, o *CompletedOrder) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(o).Error
}

// DeleteCompletedOrders removes a user's orders.
func DeleteCompletedOrders(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Delete(&CompletedOrder{}, "user_id = ?", userID).Error
}

// LockUser keeps LockUserShared of the same user waiting until the transaction
// ends. It works for a user that has no row yet.
func LockUser(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", userID.String()).Error
}

// LockUserShared keeps LockUser of the same user waiting until the transaction
// ends, and not other holders of the shared lock.
func LockUserShared(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock_shared(hashtextextended(?, 0))", userID.String()).Error
}
