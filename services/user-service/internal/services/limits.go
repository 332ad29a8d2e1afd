package services

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/services/user-service/internal/models"
)

// ErrTooManyAttempts is the error of an attempt over a limit. Its RetryAfter is when the limit resets.
var ErrTooManyAttempts = fault.New(fault.TooMany, "too_many_attempts", "Too many attempts")

// limit allows so many attempts in a window, which begins with the first of them. Attempts
// over the limit do not prolong it.
type limit struct {
	name   string
	most   int64
	window time.Duration
}

// The limits. Logins that succeed do not count, and reset that of the account.
var (
	loginOfAccount = limit{"login account", 10, 15 * time.Minute}
	loginOfAddress = limit{"login address", 100, 15 * time.Minute}
	registration   = limit{"registration address", 60, time.Hour}
	emailChange    = limit{"email change", 10, time.Hour} // of a person: it tells which emails are taken
)

// limits counts attempts where all instances see them.
type limits struct{ db *gorm.DB }

// take counts an attempt of the subject before it is made, so that attempts at the same time
// all count. It returns the subject's key, or ErrTooManyAttempts.
func (l limits) take(ctx context.Context, to limit, subject string) ([]byte, error) {
	sum := sha256.Sum256([]byte(to.name + " " + subject))
	count, ends, err := models.CountAttempt(l.db.WithContext(ctx), sum[:], to.window)
	switch {
	case err != nil:
		return nil, fmt.Errorf("count attempt: %w", err)
	case count > to.most:
		return nil, ErrTooManyAttempts.WithRetryAfter(max(ends, time.Second))
	}
	return sum[:], nil
}

// succeeded takes the attempt of a login that succeeded back, and all failures of its account.
func (l limits) succeeded(ctx context.Context, account, address []byte) error {
	db := l.db.WithContext(ctx)
	err := models.DeleteAttempts(db, account)
	if err == nil {
		err = models.UncountAttempt(db, address)
	}
	if err != nil {
		return fmt.Errorf("uncount attempts: %w", err)
	}
	return nil
}

// takeBack uncounts attempts that were not made, even if the request is over.
func (l limits) takeBack(ctx context.Context, keys ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	var errs []error
	for _, key := range keys {
		errs = append(errs, models.UncountAttempt(l.db.WithContext(ctx), key))
	}
	return errors.Join(errs...)
}
