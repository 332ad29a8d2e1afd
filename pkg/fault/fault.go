package fault

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Error is an error with a public text and a private cause. It is immutable: the
// With methods return copies, so a package variable can be refined per call. Safe for
// concurrent use.
type Error struct {
	kind       Kind
	code       string
	message    string
	detail     string
	fields     []Field
	retryAfter time.Duration
	cause      error
}

// Field is one invalid input.
type Field struct {
	Name    string `json:"field"`   // JSON path of the field, e.g. "items[0].quantity"
	Message string `json:"message"` // what is wrong with it, public
}

// New returns an error of the given kind. The code is snake_case and part of the
// API, programs branch on it; the message is public and for people.
func New(kind Kind, code, message string) *Error {
	return &Error{kind: kind, code: code, message: message}
}

// From finds the [*Error] in the chain of err. Without one,
// [context.DeadlineExceeded] becomes Timeout and everything else Internal with the
// public message "Internal server error"; err is then the cause. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return New(Timeout, "timeout", "The request took too long").With(err)
	}
	return New(Internal, "internal_error", "Internal server error").With(err)
}

// Error returns the message with detail and cause: text for logs, not for callers.
func (e *Error) Error() string {
	text := e.message
	if e.detail != "" {
		text += " (" + e.detail + ")"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause, nil without one.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an [*Error] with the same code, so that a refined
// copy still matches its package variable.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t != nil && t.code == e.code
}

// Kind returns what the caller can do about e.
func (e *Error) Kind() Kind { return e.kind }

// Code returns the snake_case code for programs.
func (e *Error) Code() string { return e.code }

// Message returns the public text.
func (e *Error) Message() string { return e.message }

// Detail returns the public text about this one occurrence, "" without one.
func (e *Error) Detail() string { return e.detail }

// Fields returns a copy of the invalid inputs, nil without any.
func (e *Error) Fields() []Field { return slices.Clone(e.fields) }

// RetryAfter returns how long the caller should wait, 0 when that is unknown.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// With returns a copy of e caused by cause. The cause is for logs and [errors.Is]
// only, never public.
func (e *Error) With(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithDetail returns a copy of e with a public text about this one occurrence.
func (e *Error) WithDetail(detail string) *Error {
	c := *e
	c.detail = detail
	return &c
}

// WithFields returns a copy of e with these invalid inputs.
func (e *Error) WithFields(fields ...Field) *Error {
	c := *e
	c.fields = slices.Clone(fields)
	return &c
}

// WithRetryAfter returns a copy of e that asks the caller to wait for d; a
// negative d counts as 0.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.retryAfter = max(d, 0)
	return &c
}
