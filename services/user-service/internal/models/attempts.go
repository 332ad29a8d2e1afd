package models

import (
	"time"

	"gorm.io/gorm"
)

// CountAttempt adds an attempt to those of the subject in its window, which begins with the
// first, and returns their number and when the window ends. The database's clock counts.
func CountAttempt(tx *gorm.DB, subject []byte, window time.Duration) (count int64, ends time.Duration, err error) {
	var row struct {
		Count   int64
		Seconds float64
	}
	err = tx.Raw(`
		INSERT INTO auth_attempts AS a (count, subject, resets_at)
		VALUES (1, ?, now() + make_interval(secs => ?))
		ON CONFLICT (subject) DO UPDATE SET
			count = CASE WHEN a.resets_at > now() THEN a.count + 1 ELSE 1 END,
			resets_at = CASE WHEN a.resets_at > now() THEN a.resets_at ELSE excluded.resets_at END
		RETURNING count, extract(epoch FROM resets_at - now())::float8 AS seconds`,
		subject, window.Seconds()).Scan(&row).Error
	return row.Count, time.Duration(row.Seconds * float64(time.Second)), err
}

// UncountAttempt takes an attempt back.
func UncountAttempt(tx *gorm.DB, subject []byte) error {
	return tx.Exec("UPDATE auth_attempts SET count = count - 1 WHERE subject = ? AND count > 0", subject).Error
}

// DeleteAttempts takes all attempts of the subject back.
func DeleteAttempts(tx *gorm.DB, subject []byte) error {
	return tx.Exec("DELETE FROM auth_attempts WHERE subject = ?", subject).Error
}
