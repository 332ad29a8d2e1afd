package userauth

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// maxDate is past the year 5000 and far from what a time cannot hold.
const maxDate = 1e11

// claims is the payload of a token that was received.
type claims struct {
	jwt.RegisteredClaims
	user uuid.UUID
}

// UnmarshalJSON is strict where encoding/json is not: names match in case and occur once,
// times are numbers and not strings. All but nbf are required.
func (c *claims) UnmarshalJSON(data []byte) error {
	var payload struct {
		Issuer    string   `json:"iss"`
		Audience  string   `json:"aud"`
		Subject   string   `json:"sub"`
		IssuedAt  *float64 `json:"iat"` // NumericDate of RFC 7519, which may have a fraction
		ExpiresAt *float64 `json:"exp"`
		NotBefore *float64 `json:"nbf"`
	}
	if err := json.Unmarshal(data, &payload); err != nil {
		return err
	}
	user, err := uuid.Parse(payload.Subject)
	issued, expires := payload.IssuedAt, payload.ExpiresAt
	switch {
	case err != nil || user == uuid.Nil || user.String() != payload.Subject:
		return errors.New("sub is not the id of a user")
	case issued == nil || expires == nil:
		return errors.New("iat or exp is missing")
	case *issued < 0 || *expires <= *issued || *expires > maxDate:
		return errors.New("iat and exp are not a span of time")
	case *expires-*issued > Life.Seconds():
		return fmt.Errorf("life is longer than %v", Life)
	}
	c.user, c.Issuer, c.Audience = user, payload.Issuer, jwt.ClaimStrings{payload.Audience}
	c.IssuedAt, c.ExpiresAt = date(*issued), date(*expires)
	if payload.NotBefore != nil {
		c.NotBefore = date(*payload.NotBefore)
	}
	return nil
}

func date(seconds float64) *jwt.NumericDate {
	return jwt.NewNumericDate(time.UnixMilli(int64(min(max(seconds, 0), maxDate) * 1000)))
}
