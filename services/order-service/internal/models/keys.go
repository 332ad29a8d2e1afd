package models

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// IdempotencyKey is a row of idempotency_keys: the order that a caller's request
// with this key made.
type IdempotencyKey struct {
	Caller      string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	RequestHash []byte
	OrderID     uuid.UUID
	CreatedAt   time.Time `gorm:"->"` // by the database's clock
}

// TakeKey adds k and reports true, or false if the caller used the key before.
// While another transaction holds the same key, it waits for that one's end.
func TakeKey(tx *gorm.DB, k *IdempotencyKey) (bool, error) {
	result := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(k)
	return result.RowsAffected == 1, result.Error
}

// FindKey reads a key. The error is gorm.ErrRecordNotFound if the caller has
// not used it.
func FindKey(tx *gorm.DB, caller, key string) (IdempotencyKey, error) {
	var k IdempotencyKey
	err := tx.Take(&k, "caller = ? AND key = ?", caller, key).Error
	return k, err
}

// ForgetKeys removes at most limit keys, the oldest first, that are older than age
// by the database's clock, and tells how many. It leaves alone what another
// transaction holds, so that replicas do not wait for each other.
func ForgetKeys(tx *gorm.DB, age time.Duration, limit int) (int64, error) {
	result := tx.Exec(`
		DELETE FROM idempotency_keys WHERE (caller, key) IN (
			SELECT caller, key FROM idempotency_keys
			WHERE created_at < now() - make_interval(secs => ?)
			ORDER BY created_at LIMIT ? FOR UPDATE SKIP LOCKED)`, age.Seconds(), limit)
	return result.RowsAffected, result.Error
}
