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

// OrderTotal is a row of the view order_totals: the total of a user's completed orders in
// one currency.
type OrderTotal struct {
	UserID   uuid.UUID
	Currency string
	Orders   int64
	Total    int64 // minor units of Currency, at most 2⁵³−1
}

// PutCompletedOrder adds o, unless the order exists.
func PutCompletedOrder(tx *gorm.DB, o *CompletedOrder) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(o).Error
}

// DeleteCompletedOrders removes a user's orders.
func DeleteCompletedOrders(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Delete(&CompletedOrder{}, "user_id = ?", userID).Error
}

// LockUser locks a user exclusively until the transaction ends, also one without a row.
func LockUser(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", userID.String()).Error
}

// LockUserShared locks a user until the transaction ends; it excludes only LockUser.
func LockUserShared(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock_shared(hashtextextended(?, 0))", userID.String()).Error
}
