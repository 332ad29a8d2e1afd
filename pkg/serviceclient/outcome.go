package serviceclient

import (
	"context"
	"errors"
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
