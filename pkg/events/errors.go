package events

import (
	"errors"
	"time"
)

// Permanent marks an error of a handler that no further attempt can change: the
// event is a dead letter at once. It gives nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

// Unwrap gives the marked error.
func (e *permanentError) Unwrap() error { return e.error }

// RetryAfter marks an error of a handler that needs at least d to pass, such as
// a Retry-After of what it calls: the event is parked without further quick
// attempts, and the next one comes after d. It gives nil for nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

type retryAfterError struct {
	error
	after time.Duration
}

// Unwrap gives the marked error.
func (e *retryAfterError) Unwrap() error { return e.error }

// handlerError says which delivery of a batch failed in its handler, and how.
type handlerError struct {
	index int
	err   error
}

func (e *handlerError) Error() string { return e.err.Error() }

// hopeless reports that another attempt cannot succeed.
func (e *handlerError) hopeless() bool {
	_, permanent := errors.AsType[*permanentError](e.err)
	return permanent
}

// patient reports that an attempt soon cannot succeed.
func (e *handlerError) patient() bool {
	_, later := errors.AsType[*retryAfterError](e.err)
	return later || e.hopeless()
}

// delay is the wait before the next attempt, after the given number of them.
func (e *handlerError) delay(attempts int) time.Duration {
	if later, ok := errors.AsType[*retryAfterError](e.err); ok {
		return max(later.after, 0)
	}
	return backoff(attempts)
}
