package serviceclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/go-troika/troika/pkg/breaker"
)

// outcomeOfStatus: whoever answers below 500 works; 501 is a plain statement too.
func outcomeOfStatus(status int) breaker.Outcome {
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented {
		return breaker.Failure
	}
	return breaker.Success
}

// outcomeOfTrouble judges an attempt without a whole answer. caller is the context of the call, not of the attempt.
func outcomeOfTrouble(caller context.Context) breaker.Outcome {
	if caller.Err() != nil {
		return breaker.Ignore
	}
	return breaker.Failure
}

// timedOut makes sure that what broke because the attempt's time was up says so. A transport below which contexts are
// derived sees a cancellation only.
func timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}

// classify tells the breaker what an attempt said about the service.
func classify(err error) breaker.Outcome {
	if err == nil {
		return breaker.Success
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok || e.repeat.elsewhere:
		return breaker.Ignore
	default:
		return e.outcome
	}
}

func dialFailed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
