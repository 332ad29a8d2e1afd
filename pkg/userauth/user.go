package userauth

import (
	"context"

	"github.com/google/uuid"
)

type userKey struct{}

// WithUser returns a context that knows the verified id of the user of a request.
func WithUser(ctx context.Context, id uuid.UUID) context.Context {
	return context.WithValue(ctx, userKey{}, id)
}

// User returns the verified id of the user that made the request, or on whose behalf a
// service made it, and reports whether there is one: a service's own request has none.
func User(ctx context.Context) (uuid.UUID, bool) {
	id, ok := ctx.Value(userKey{}).(uuid.UUID)
	return id, ok
}

// Allows reports whether the request may see and change the data of owner: a person's
// request only that person's own, a service's own request that of all. Respond to the
// others as if there were no such data.
func Allows(ctx context.Context, owner uuid.UUID) bool {
	id, ok := User(ctx)
	return !ok || id == owner
}
