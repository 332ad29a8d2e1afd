package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Credentials is a row of credentials.
type Credentials struct {
	UserID       uuid.UUID `gorm:"primaryKey"`
	PasswordHash string
}

// InsertCredentials adds c.
func InsertCredentials(tx *gorm.DB, c *Credentials) error { return tx.Create(c).Error }

// FindCredentials reads the credentials of the user with this email who is not deleted. The
// error is gorm.ErrRecordNotFound if there are none.
func FindCredentials(tx *gorm.DB, email string) (Credentials, error) {
	var c Credentials
	err := tx.Joins("JOIN users ON users.id = credentials.user_id").
		Take(&c, "users.email = ? AND users.deleted_at IS NULL", email).Error
	return c, err
}

// DeleteCredentials removes the credentials and refresh tokens of a user, who is locked.
func DeleteCredentials(tx *gorm.DB, userID uuid.UUID) error {
	if err := tx.Delete(&Credentials{}, "user_id = ?", userID).Error; err != nil {
		return err
	}
	return tx.Delete(&RefreshToken{}, "user_id = ?", userID).Error
}

// RefreshToken is a row of refresh_tokens.
type RefreshToken struct {
	Hash      []byte `gorm:"primaryKey"`
	Family    uuid.UUID
	UserID    uuid.UUID
	ExpiresAt time.Time
	UsedAt    *time.Time // nil unless used
}

// InsertFamily adds the first token of a new family of the user, who is locked.
func InsertFamily(tx *gorm.DB, hash []byte, family, userID uuid.UUID, life time.Duration) error {
	return tx.Exec(`INSERT INTO refresh_tokens (family, hash, user_id, expires_at)
		VALUES (?, ?, ?, now() + make_interval(secs => ?))`, family, hash, userID, life.Seconds()).Error
}

// KeepFamilies removes the families of the user, who is locked, but for the newest n.
func KeepFamilies(tx *gorm.DB, userID uuid.UUID, n int) error {
	return tx.Exec(`DELETE FROM refresh_tokens WHERE user_id = ? AND family NOT IN (SELECT family FROM refresh_tokens
		WHERE user_id = ? GROUP BY family ORDER BY max(expires_at) DESC LIMIT ?)`, userID, userID, n).Error
}

// FindRefreshToken reads a token that has not expired, used or not. The error is
// gorm.ErrRecordNotFound if there is none.
func FindRefreshToken(tx *gorm.DB, hash []byte) (RefreshToken, error) {
	var t RefreshToken
	err := tx.Take(&t, "hash = ? AND expires_at > now()", hash).Error
	return t, err
}

// FamilyHas reports whether a family has at least n tokens, used or not.
func FamilyHas(tx *gorm.DB, family uuid.UUID, n int64) (bool, error) {
	var has int64
	err := tx.Model(&RefreshToken{}).Where("family = ?", family).Count(&has).Error
	return has >= n, err
}

// ReplaceRefreshToken marks t as used and adds its successor, which expires with it. It
// reports false, and changes nothing, if t was used before. The user is locked.
func ReplaceRefreshToken(tx *gorm.DB, t RefreshToken, successor []byte) (bool, error) {
	used := tx.Exec("UPDATE refresh_tokens SET used_at = now() WHERE hash = ? AND used_at IS NULL", t.Hash)
	if used.Error != nil || used.RowsAffected == 0 {
		return false, used.Error
	}
	return true, tx.Create(&RefreshToken{
		Hash: successor, Family: t.Family, UserID: t.UserID, ExpiresAt: t.ExpiresAt,
	}).Error
}

// DeleteFamily removes all tokens of a login. The user is locked.
func DeleteFamily(tx *gorm.DB, family uuid.UUID) error {
	return tx.Delete(&RefreshToken{}, "family = ?", family).Error
}

// PurgeExpired removes at most limit rows each of what has expired, and returns how many.
// It leaves alone what another transaction holds.
func PurgeExpired(tx *gorm.DB, limit int) (int64, error) {
	tokens := tx.Exec(`DELETE FROM refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens
		WHERE expires_at < now() LIMIT ? FOR UPDATE SKIP LOCKED)`, limit)
	if tokens.Error != nil {
		return 0, tokens.Error
	}
	attempts := tx.Exec(`DELETE FROM auth_attempts WHERE subject IN (SELECT subject FROM auth_attempts
		WHERE resets_at < now() LIMIT ? FOR UPDATE SKIP LOCKED)`, limit)
	return max(tokens.RowsAffected, attempts.RowsAffected), attempts.Error
}
