package middleware

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
)

// ErrIdempotencyKey answers a key that cannot be kept as it is.
var ErrIdempotencyKey = fault.New(fault.Malformed, "invalid_idempotency_key", "Invalid Idempotency-Key").
	WithDetail("give one line of 1 to 255 printable ASCII characters, or none")

// Idempotency reads the optional Idempotency-Key for IdempotencyKey, and answers
// 400 if it is there but not one line of 1 to 255 printable ASCII characters.
// The key is taken literally, quotes included.
func Idempotency() gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error {
		lines := c.Request.Header.Values(idempotencyHeader)
		if len(lines) == 0 {
			return nil
		}
		if len(lines) > 1 || !validKey(lines[0]) {
			return ErrIdempotencyKey
		}
		c.Set(idempotencyHeader, lines[0])
		return nil
	})
}

// IdempotencyKey is the request's key, "" if it has none.
func IdempotencyKey(c *gin.Context) string { return c.GetString(idempotencyHeader) }

func validKey(key string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return key != "" && len(key) <= maxIdempotencyKey && !strings.ContainsFunc(key, unprintable)
}
