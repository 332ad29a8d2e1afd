package serviceclient

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

var (
	// ErrBusy is matched by the error of a call refused because Config.Concurrency attempts were in progress.
	ErrBusy = errors.New("too many calls in progress")
	// ErrTooLarge is matched by the error of a call whose response was longer than Config.MaxBody.
	ErrTooLarge = errors.New("response too large")
	// ErrWrongService is matched by the error of a call whose response came from another service, which has taken the
	// address over from an instance of the target.
	ErrWrongService = errors.New("another service is at this address")
	// ErrNotProblem is matched by the error of a call whose error response is not a problem+json, such as one of a proxy
	// in between: its status says nothing about the requested resource.
	ErrNotProblem = errors.New("response is not application/problem+json")
)

// Error is the error of a call without a usable response. Err, its cause, is one of breaker.ErrOpen,
// registry.ErrNotAvailable, ErrBusy, ErrTooLarge, ErrWrongService, ErrNotProblem, context.DeadlineExceeded,
// context.Canceled or an error of the network.
type Error struct {
	Service string // the target
	Method  string
	Path    string // without the query
	Status  int    // of the response; 0 without one
	// Code, Message and RequestID are the remote problem's "code", "error" and "requestId", when it sent them.
	// RequestID is otherwise the one sent with the call.
	Code      string
	Message   string
	RequestID string
	// RetryAfter is the shortest wait before the next call, from the response or the open breaker; 0 if unknown.
	RetryAfter time.Duration
	Err        error // nil if there is nothing beyond the status

	outcome     breaker.Outcome
	refused     bool // by the service, for now: it works
	undelivered bool // the service has not seen the call: no connection could be opened, or another service has it
	repeat      plan
}

// Error describes the call and what went wrong, in one line, without bodies, queries or tokens.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s:", e.Method, e.Service, e.Path)
	if e.Status != 0 {
		fmt.Fprintf(&b, " status %d", e.Status)
	}
	for _, part := range []string{e.Code, e.Message} {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the remote problem, "" without one.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// StatusOf returns the HTTP status of the response, 0 without one or if err is not an *Error.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}
