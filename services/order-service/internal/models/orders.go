package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// The statuses of an order.
const (
	Pending   = "pending"
	Completed = "completed"
	Cancelled = "cancelled"
)

// Order is a row of orders with its items. Times are UTC in whole microseconds,
// money is in minor units of Currency.
type Order struct {
	ID        uuid.UUID `gorm:"primaryKey"`
	UserID    uuid.UUID
	Status    string
	Currency  string
	Total     int64
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`

	Items []Item `gorm:"foreignKey:OrderID"`
}

// Item is a row of order_items. Line is its number in the order, from 1.
type Item struct {
	OrderID   uuid.UUID `gorm:"primaryKey"`
	Line      int       `gorm:"primaryKey"`
	SKU       string
	Quantity  int64
	UnitPrice int64
}

// TableName implements schema.Tabler.
func (Item) TableName() string { return "order_items" }

// Filter narrows FindOrders; a nil field allows every order.
type Filter struct {
	UserID *uuid.UUID
	Status *string
}

// InsertOrder adds o and its items.
func InsertOrder(tx *gorm.DB, o *Order) error {
	if err := tx.Omit(clause.Associations).Create(o).Error; err != nil {
		return err
	}
	for i := range o.Items {
		o.Items[i].OrderID = o.ID
	}
	return tx.Create(&o.Items).Error
}

// FindOrder reads an order with its items. The error is gorm.ErrRecordNotFound
// if there is none.
func FindOrder(tx *gorm.DB, id uuid.UUID) (Order, error) {
	var o Order
	err := withItems(tx).Take(&o, "id = ?", id).Error
	return o, err
}

// LockOrder reads an order with its items and locks its row until the transaction ends; with
// an owner, only an order of that user. The error is gorm.ErrRecordNotFound if there is none.
func LockOrder(tx *gorm.DB, id uuid.UUID, owner *uuid.UUID) (Order, error) {
	tx = tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	if owner != nil {
		tx = tx.Where("user_id = ?", *owner)
	}
	return FindOrder(tx, id)
}

// FindOrders reads at most limit orders that match f, with ids above after, by id, with
// their items.
func FindOrders(tx *gorm.DB, f Filter, after uuid.UUID, limit int) ([]Order, error) {
	query := withItems(tx).Where("id > ?", after)
	if f.UserID != nil {
		query = query.Where("user_id = ?", *f.UserID)
	}
	if f.Status != nil {
		query = query.Where("status = ?", *f.Status)
	}
	var orders []Order
	err := query.Order("id").Limit(limit).Find(&orders).Error
	return orders, err
}

// UpdateStatus writes Status and UpdatedAt of o.
func UpdateStatus(tx *gorm.DB, o *Order) error {
	return tx.Select("Status", "UpdatedAt").Updates(o).Error
}

// CountPending returns the number of a user's pending orders.
func CountPending(tx *gorm.DB, userID uuid.UUID) (n int64, err error) {
	err = tx.Model(&Order{}).Where("user_id = ? AND status = ?", userID, Pending).Count(&n).Error
	return n, err
}

// CancelPending cancels at most limit of a user's pending orders, by id, and returns them
// without their items. It waits for transactions that are changing one of them.
func CancelPending(tx *gorm.DB, userID uuid.UUID, at time.Time, limit int) ([]Order, error) {
	var orders []Order
	err := tx.Raw(`
		UPDATE orders SET status = ?, updated_at = ? WHERE status = ? AND id IN (
			SELECT id FROM orders WHERE user_id = ? AND status = ? ORDER BY id LIMIT ? FOR UPDATE)
		RETURNING *`, Cancelled, at, Pending, userID, Pending, limit).Scan(&orders).Error
	return orders, err
}

func withItems(tx *gorm.DB) *gorm.DB {
	return tx.Preload("Items", func(tx *gorm.DB) *gorm.DB { return tx.Order("line") })
}
