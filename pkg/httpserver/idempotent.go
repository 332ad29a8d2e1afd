package httpserver

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/userauth"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
)

var errIdempotencyKey = fault.New(fault.Malformed, "invalid_idempotency_key", "Invalid Idempotency-Key").
	WithDetail("give one line of 1 to 255 printable ASCII characters, or none")

// Idempotent puts the optional Idempotency-Key into the request's context for package
// idempotency, and sets Idempotent-Replayed on the repeated response of an earlier request.
// It runs after the route's [Access]. A key that is not one line of 1 to 255 printable ASCII
// characters is a 400. Quotes are part of the key. Keys belong to the person
// or the calling service, and to the route.
func Idempotent() gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		lines := c.Request.Header.Values(idempotencyHeader)
		if len(lines) == 0 {
			return nil
		}
		if len(lines) > 1 || !validKey(lines[0]) {
			return errIdempotencyKey
		}
		ctx := c.Request.Context()
		caller := serviceauth.Caller(ctx)
		if user, ok := userauth.User(ctx); ok {
			caller = "user " + user.String()
		}
		key := idempotency.Key{
			Scope:    idempotency.Scope{Caller: caller, Route: c.Request.Method + " " + c.FullPath()},
			Value:    lines[0],
			OnReplay: func() { c.Header("Idempotent-Replayed", "true") },
		}
		c.Request = c.Request.WithContext(idempotency.WithKey(ctx, key))
		return nil
	})
}

func validKey(key string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return key != "" && len(key) <= maxIdempotencyKey && !strings.ContainsFunc(key, unprintable)
}
