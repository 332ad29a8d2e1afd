package jws

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxDate is past the year 5000 and far from what a time cannot hold.
const maxDate = 1e11

// Times are the times in a token's payload (RFC 7519, 4.1), to be embedded in the struct that
// the payload is decoded into. They are numbers, which may have a fraction.
type Times struct {
	IssuedAt  *float64 `json:"iat"`
	ExpiresAt *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
}

// Set sets the times of c. It fails unless iat and exp are there and a span of time, at most
// life. Whether now is within is the parser's to check.
func (t Times) Set(c *jwt.RegisteredClaims, life time.Duration) error {
	issued, expires := t.IssuedAt, t.ExpiresAt
	switch {
	case issued == nil || expires == nil:
		return errors.New("iat or exp is missing")
	case *issued < 0 || *expires <= *issued || *expires > maxDate:
		return errors.New("iat and exp are not a span of time")
	case *expires-*issued > life.Seconds():
		return fmt.Errorf("life is longer than %v", life)
	}
	c.IssuedAt, c.ExpiresAt = date(*issued), date(*expires)
	if t.NotBefore != nil {
		c.NotBefore = date(*t.NotBefore)
	}
	return nil
}

func date(seconds float64) *jwt.NumericDate {
	return jwt.NewNumericDate(time.UnixMilli(int64(min(max(seconds, 0), maxDate) * 1000)))
}
