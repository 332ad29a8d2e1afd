package services

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// Errors of the check that the user of an order exists.
var (
	ErrUnknownUser      = fault.New(fault.Unprocessable, "unknown_user", "Unknown user")
	ErrUsersUnavailable = fault.New(fault.Unavailable, "user_service_unavailable", "User could not be checked")
	ErrUsersCircuitOpen = fault.New(fault.Unavailable, "user_service_circuit_open", "user-service is unavailable (circuit open)")
)

// checkUser succeeds only if user-service has the user. Otherwise the error
// is ErrUnknownUser, or, with the time after which a retry makes sense,
// ErrUsersUnavailable, or ErrUsersCircuitOpen if no call was made.
func checkUser(ctx context.Context, users *serviceclient.Client, id uuid.UUID) error {
	user, err := serviceclient.Get[contracts.User](ctx, users, "/users/"+id.String())
	switch {
	case err == nil && user.ID == id:
		return nil
	case err == nil:
		err = fmt.Errorf("asked for user %s, got %s", id, user.ID)
	case serviceclient.CodeOf(err) == contracts.CodeUserNotFound:
		return ErrUnknownUser
	case ctx.Err() != nil: // the caller's deadline, not an outage of user-service
		return fmt.Errorf("check user: %w", ctx.Err())
	case errors.Is(err, breaker.ErrOpen):
		return ErrUsersCircuitOpen.With(err).WithRetryAfter(retryAfter(err))
	}
	return ErrUsersUnavailable.With(err).WithRetryAfter(retryAfter(err))
}

const maxRetryAfter = time.Minute

// retryAfter returns the wait that the open breaker or user-service requests, from one
// second to maxRetryAfter.
func retryAfter(err error) time.Duration {
	wait := time.Second
	if call, ok := errors.AsType[*serviceclient.Error](err); ok {
		wait = min(max(wait, call.RetryAfter), maxRetryAfter)
	}
	return wait
}
