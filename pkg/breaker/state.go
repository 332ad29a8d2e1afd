package breaker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State decides what a breaker does with the next call.
type State uint8

// The three states; the zero State is Closed.
const (
	Closed   State = iota // calls pass
	Open                  // calls are refused
	HalfOpen              // one trial passes, others are refused
)

// String returns "CLOSED", "OPEN" or "HALF_OPEN".
func (s State) String() string {
	return [...]string{"CLOSED", "OPEN", "HALF_OPEN"}[s]
}

// Outcome classifies a finished call.
type Outcome uint8

// The outcomes; the zero Outcome is Success.
const (
	Success Outcome = iota // it works
	Failure                // it is broken
	Ignore                 // does not count, such as a cancelled call
)

// Classify is the default of [Config.Classify]: nil is a Success, an error that is
// [context.Canceled] is ignored, all else is a Failure.
func Classify(err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.Is(err, context.Canceled):
		return Ignore
	}
	return Failure
}

// ErrOpen is matched by every refusal, with [errors.Is].
var ErrOpen = errors.New("circuit breaker is OPEN")

// OpenError is a refusal: the call was not made.
type OpenError struct {
	Name       string        // of the breaker
	RetryAfter time.Duration // when to ask again, at the earliest; never negative
}

// Error names the breaker and the wait.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s: %v, retry after %v", e.Name, ErrOpen, e.RetryAfter.Round(time.Millisecond))
}

// Is makes errors.Is(err, ErrOpen) hold.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// Transition is a change of state.
type Transition struct {
	Name     string // of the breaker
	From, To State
	At       time.Time
}
