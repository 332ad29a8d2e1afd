package httpserver

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/serviceauth"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
)

// ErrIdempotencyKey answers a key that cannot be kept as it is.
var ErrIdempotencyKey = fault.New(fault.Malformed, "invalid_idempotency_key", "Invalid Idempotency-Key").
	WithDetail("give one line of 1 to 255 printable ASCII characters, or none")

// Idempotent reads the optional Idempotency-Key for package idempotency; it stands
// after [Callers]. It answers 400 to a key that is not one line of 1 to 255 printable
// ASCII characters. The key is taken literally, quotes included.
func Idempotent() gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		lines := c.Request.Header.Values(idempotencyHeader)
		if len(lines) == 0 {
			return nil
		}
		if len(lines) > 1 || !validKey(lines[0]) {
			return ErrIdempotencyKey
		}
		ctx := c.Request.Context()
		key := idempotency.Key{Caller: serviceauth.Caller(ctx), Value: lines[0]}
		c.Request = c.Request.WithContext(idempotency.WithKey(ctx, key))
		return nil
	})
}

// Replayed marks an answer that an earlier request with the key had.
func Replayed(c *gin.Context) { c.Header("Idempotent-Replayed", "true") }

func validKey(key string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return key != "" && len(key) <= maxIdempotencyKey && !strings.ContainsFunc(key, unprintable)
}
