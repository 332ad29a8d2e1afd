package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// User is a row of users. Times are UTC in whole microseconds.
type User struct {
	ID    uuid.UUID `gorm:"primaryKey"`
	Email string
	Name  string
	// Revision counts the changes from 1.
	Revision  int64
	CreatedAt time.Time  `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time  `gorm:"autoUpdateTime:false"`
	DeletedAt *time.Time // nil unless deleted
}

// InsertUser adds u. The error is gorm.ErrDuplicatedKey if a user that is not deleted
// has its email.
func InsertUser(tx *gorm.DB, u *User) error { return tx.Create(u).Error }

// FindUser reads a user that is not deleted. The error is gorm.ErrRecordNotFound if
// there is none.
func FindUser(tx *gorm.DB, id uuid.UUID) (User, error) {
	var u User
	err := tx.Take(&u, "id = ? AND deleted_at IS NULL", id).Error
	return u, err
}

// LockUser reads a user, deleted or not, and locks its row until the transaction ends.
// The error is gorm.ErrRecordNotFound if the id was never used.
func LockUser(tx *gorm.DB, id uuid.UUID) (User, error) {
	var u User
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Take(&u, "id = ?", id).Error
	return u, err
}

// FindUsers reads at most limit users that are not deleted, with ids above after, by id.
func FindUsers(tx *gorm.DB, after uuid.UUID, limit int) ([]User, error) {
	var users []User
	err := tx.Where("id > ? AND deleted_at IS NULL", after).Order("id").Limit(limit).Find(&users).Error
	return users, err
}

// UpdateUser writes every column of u, which the transaction has locked. The error is
// gorm.ErrDuplicatedKey if another user that is not deleted has its email.
func UpdateUser(tx *gorm.DB, u *User) error {
	return tx.Select("*").Updates(u).Error
}
