package serviceclient

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

var (
	// ErrBusy is matched by the error of a call refused because Config.Concurrency attempts were under way.
	ErrBusy = errors.New("too many calls under way")
	// ErrTooLarge is matched by the error of a call whose answer was longer than Config.MaxBody.
	ErrTooLarge = errors.New("answer too large")
	// ErrNotOwn is matched by the error of a call that something else than the service answered with an error, such
	// as a proxy: its status says nothing about what was asked for.
	ErrNotOwn = errors.New("the answer is not the service's own")
)

// Error is a call that brought no usable answer. Through Err it matches, with errors.Is, what stood in the way:
// breaker.ErrOpen, registry.ErrNotAvailable, ErrBusy, ErrTooLarge, context.DeadlineExceeded, context.Canceled or an
// error of the network.
type Error struct {
	Service string // the target
	Method  string
	Path    string // without the query
	Status  int    // of the answer; 0 when there was none
	// Code, Message and RequestID are the remote problem's "code", "error" and "requestId", when it sent them.
	// RequestID is otherwise the one sent with the call.
	Code      string
	Message   string
	RequestID string
	// RetryAfter is when to ask again at the earliest, from the answer's header or the open breaker; 0 = not told.
	RetryAfter time.Duration
	Err        error // nil when the status says it all

	outcome  breaker.Outcome
	refused  bool // the service works, and has turned the call away
	undialed bool // no connection could be opened: the service has seen nothing of the call
	repeat   plan
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

// CodeOf returns the code of the service's own problem that err is about, "" when there is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// StatusOf returns the HTTP status err tells of, 0 when there was no answer or err is not an *Error.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}
