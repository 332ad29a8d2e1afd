package serviceclient

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/registry"
)

// outcomeOfStatus returns Success below 500, and for 501, which the application itself sends.
func outcomeOfStatus(status int) breaker.Outcome {
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented {
		return breaker.Failure
	}
	return breaker.Success
}

// outcomeOfNoResponse returns the outcome of an attempt without a complete response. caller is the context of the
// call, not of the attempt: if it has ended, the service is not to blame.
func outcomeOfNoResponse(caller context.Context) breaker.Outcome {
	deadline, ok := caller.Deadline()
	if caller.Err() != nil || ok && !time.Now().Before(deadline) {
		return breaker.Ignore
	}
	return breaker.Failure
}

// timedOut returns err as DeadlineExceeded if the attempt's deadline caused it: a transport that derives contexts
// reports a cancellation.
func timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}

// isProblem reports whether an error response comes from the service: a proxy sends another media type.
func isProblem(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == "application/problem+json"
}

// isRefusal reports whether a working service refused the call for now.
func isRefusal(status int, code string) bool {
	busy := slices.Contains([]string{fault.CodeOverloaded, fault.CodeDatabaseBusy, fault.CodeEventLogBusy}, code)
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && busy
}

// ranOut reports whether a service returned 504 because the caller's deadline, which was sent to it, has passed or is about
// to: what was sent is in whole milliseconds.
func ranOut(caller context.Context, status int) bool {
	const rounding = 2 * time.Millisecond
	deadline, ok := caller.Deadline()
	return ok && status == http.StatusGatewayTimeout && time.Until(deadline) < rounding
}

// classify returns what the outcome of a call means for the breaker.
func classify(err error) breaker.Outcome {
	if err == nil {
		return breaker.Success
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || errors.Is(err, registry.ErrNotAvailable) {
		return breaker.Ignore
	}
	return e.outcome
}

func dialFailed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
