package serviceauth

import (
	"context"

	"github.com/go-troika/troika/pkg/fault"
)

// Header is the HTTP header that carries the token, in exactly one line.
const Header = "X-Service-Token"

// Operator is the caller that acts on events (redrive, discard, replay, pause, partitions),
// on the admin ports. No service has this name.
const Operator = "operator"

// CodeInvalid is the problem code of [ErrInvalid].
const CodeInvalid = "invalid_service_token"

// The three ways to be turned away. The reason for ErrInvalid is its cause and goes to
// the log, not to the caller.
var (
	ErrRequired  = fault.New(fault.Unauthenticated, "service_token_required", "Service token required")
	ErrInvalid   = fault.New(fault.Unauthenticated, CodeInvalid, "Invalid service token")
	ErrForbidden = fault.New(fault.Forbidden, "caller_not_allowed", "Caller not allowed")
)

type callerKey struct{}

// WithCaller returns a context that knows the verified name of the calling service.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// Caller returns the verified name of the calling service, "" if none was verified.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}
