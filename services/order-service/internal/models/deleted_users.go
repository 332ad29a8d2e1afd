package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// DeletedUser is a row of deleted_users. DeletedAt is UTC in whole microseconds.
type DeletedUser struct {
	UserID    uuid.UUID `gorm:"primaryKey"`
	DeletedAt time.Time
}

// PutDeletedUser adds a user, unless the user is there.
func PutDeletedUser(tx *gorm.DB, userID uuid.UUID, at time.Time) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&DeletedUser{userID, at}).Error
}

// IsDeletedUser reports whether the user is in deleted_users.
func IsDeletedUser(tx *gorm.DB, userID uuid.UUID) (bool, error) {
	var rows int64
	err := tx.Model(&DeletedUser{}).Where("user_id = ?", userID).Count(&rows).Error
	return rows > 0, err
}

// LockUser locks a user exclusively until the transaction ends, also one without a row.
func LockUser(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", userID.String()).Error
}

// LockUserShared locks a user until the transaction ends; it excludes only LockUser.
func LockUserShared(tx *gorm.DB, userID uuid.UUID) error {
	return tx.Exec("SELECT pg_advisory_xact_lock_shared(hashtextextended(?, 0))", userID.String()).Error
}
