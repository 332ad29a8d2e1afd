package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Profile is a row of profiles. Times are UTC in whole microseconds.
type Profile struct {
	UserID uuid.UUID `gorm:"primaryKey"`
	// Name is the user's name at Revision, from user-service.
	Name     string
	Revision int64
	// DisplayName is set by the user; nil follows Name.
	DisplayName *string
	Bio         string
	AvatarURL   string
	CreatedAt   time.Time  `gorm:"autoCreateTime:false"`
	UpdatedAt   time.Time  `gorm:"autoUpdateTime:false"`
	DeletedAt   *time.Time // nil unless deleted

	// Totals is not a column; functions that read profiles fill it.
	Totals []OrderTotal `gorm:"foreignKey:UserID;references:UserID"`
}

// FindProfile reads a profile that is not deleted, with its totals. The error is
// gorm.ErrRecordNotFound if there is none.
func FindProfile(tx *gorm.DB, userID uuid.UUID) (Profile, error) {
	var p Profile
	err := withTotals(tx).Take(&p, "user_id = ? AND deleted_at IS NULL", userID).Error
	return p, err
}

// FindProfiles reads at most limit profiles that are not deleted, with user ids above
// after, by id, with their totals.
func FindProfiles(tx *gorm.DB, after uuid.UUID, limit int) ([]Profile, error) {
	var profiles []Profile
	err := withTotals(tx).Where("user_id > ? AND deleted_at IS NULL", after).
		Order("user_id").Limit(limit).Find(&profiles).Error
	return profiles, err
}

// LockProfile reads a profile that is not deleted, with its totals, and locks its row
// until the transaction ends. The error is gorm.ErrRecordNotFound if there is none.
func LockProfile(tx *gorm.DB, userID uuid.UUID) (Profile, error) {
	var p Profile
	err := withTotals(tx).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Take(&p, "user_id = ? AND deleted_at IS NULL", userID).Error
	return p, err
}

// UpdateProfile writes every column of p, which the transaction has locked.
func UpdateProfile(tx *gorm.DB, p *Profile) error {
	return tx.Select("*").Omit("Totals").Updates(p).Error
}

// PutName adds p, or sets the name of the existing profile, unless that one has the same
// or a later revision or belongs to a deleted user.
func PutName(tx *gorm.DB, p *Profile) error {
	return tx.Exec(`
		INSERT INTO profiles AS p (user_id, name, revision, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE
		SET name = excluded.name, revision = excluded.revision,
		    updated_at = CASE WHEN p.display_name IS NULL AND p.name <> excluded.name
		                      THEN excluded.updated_at ELSE p.updated_at END
		WHERE p.revision < excluded.revision AND p.deleted_at IS NULL`,
		p.UserID, p.Name, p.Revision, p.CreatedAt, p.UpdatedAt).Error
}

// PutTombstone replaces the profile, or creates its row, by a tombstone: a row with only
// the user's id and the time of the deletion.
func PutTombstone(tx *gorm.DB, userID uuid.UUID, at time.Time) error {
	return tx.Exec(`
		INSERT INTO profiles AS p (user_id, name, revision, created_at, updated_at, deleted_at)
		VALUES (@id, '', 0, @at, @at, @at)
		ON CONFLICT (user_id) DO UPDATE
		SET name = '', display_name = NULL, bio = '', avatar_url = '',
		    updated_at = excluded.updated_at, deleted_at = excluded.deleted_at
		WHERE p.deleted_at IS NULL`, map[string]any{"id": userID, "at": at}).Error
}

// IsTombstone reports whether the user has a tombstone.
func IsTombstone(tx *gorm.DB, userID uuid.UUID) (bool, error) {
	var rows int64
	err := tx.Model(&Profile{}).Where("user_id = ? AND deleted_at IS NOT NULL", userID).Count(&rows).Error
	return rows > 0, err
}

func withTotals(tx *gorm.DB) *gorm.DB {
	return tx.Preload("Totals", func(tx *gorm.DB) *gorm.DB { return tx.Order("currency") })
}
