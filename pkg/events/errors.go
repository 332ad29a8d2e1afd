package events

import (
	"errors"
	"time"
)

// Permanent marks an error of a handler that no further attempt can change: the
// event becomes a dead letter at once. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether an error was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

type permanentError struct{ error }

// Unwrap returns the marked error.
func (e *permanentError) Unwrap() error { return e.error }

// RetryAfter marks an error of a handler whose next attempt should not come
// before d has passed, such as the Retry-After of a service that it calls. It
// returns nil for nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

// RetryDelay returns the wait that [RetryAfter] attached to an error, 0 for none.
func RetryDelay(err error) time.Duration {
	if later, ok := errors.AsType[*retryAfterError](err); ok {
		return max(later.after, 0)
	}
	return 0
}

type retryAfterError struct {
	error
	after time.Duration
}

// Unwrap returns the marked error.
func (e *retryAfterError) Unwrap() error { return e.error }
