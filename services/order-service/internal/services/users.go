package services

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// What keeps an order from being placed for a user.
var (
	ErrUserUnknown      = fault.New(fault.Unprocessable, "unknown_user", "Unknown user")
	ErrUsersUnavailable = fault.New(fault.Unavailable, "user_service_unavailable", "User could not be checked")
	ErrUsersCircuitOpen = fault.New(fault.Unavailable, "user_service_circuit_open", "User was not asked for: user-service fails")
)

// Users asks user-service about users. It is safe for concurrent use.
type Users struct {
	client *serviceclient.Client
}

// NewUsers returns the users that client's service knows.
func NewUsers(client *serviceclient.Client) *Users {
	return &Users{client: client}
}

// Check succeeds only if user-service says that the user exists. Otherwise the
// error is ErrUserUnknown, or, with the time after which asking again makes sense,
// ErrUsersUnavailable, or ErrUsersCircuitOpen if it was not even asked.
func (u *Users) Check(ctx context.Context, id uuid.UUID) error {
	user, err := serviceclient.Get[contracts.User](ctx, u.client, "/users/"+id.String())
	switch {
	case err == nil && user.ID == id:
		return nil
	case err == nil:
		err = fmt.Errorf("asked for user %s, got %s", id, user.ID)
	case serviceclient.CodeOf(err) == contracts.CodeUserNotFound:
		return ErrUserUnknown
	case ctx.Err() != nil: // the caller's time is up, which says nothing about user-service
		return fmt.Errorf("check user: %w", ctx.Err())
	case errors.Is(err, breaker.ErrOpen):
		return ErrUsersCircuitOpen.With(err).WithRetryAfter(retryAfter(err))
	}
	return ErrUsersUnavailable.With(err).WithRetryAfter(retryAfter(err))
}

// longest is the most that a caller is asked to wait.
const longest = time.Minute

// retryAfter is the time that the open breaker or user-service asked for, at
// least a second.
func retryAfter(err error) time.Duration {
	wait := time.Second
	if call, ok := errors.AsType[*serviceclient.Error](err); ok {
		wait = min(max(wait, call.RetryAfter), longest)
	}
	return wait
}
