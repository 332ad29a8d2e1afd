package userauth

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
)

// claims is the payload of a token that was received.
type claims struct {
	jwt.RegisteredClaims
	user uuid.UUID
}

// UnmarshalJSON is strict where encoding/json is not: names match in case and occur once,
// times are numbers and not strings. All but nbf are required.
func (c *claims) UnmarshalJSON(data []byte) error {
	var payload struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Subject  string `json:"sub"`
		jws.Times
	}
	if err := json.Unmarshal(data, &payload); err != nil {
		return err
	}
	user, err := uuid.Parse(payload.Subject)
	switch {
	case err != nil || user == uuid.Nil || user.String() != payload.Subject:
		return errors.New("sub is not the id of a user")
	}
	c.user, c.Issuer, c.Audience = user, payload.Issuer, jwt.ClaimStrings{payload.Audience}
	return payload.Set(&c.RegisteredClaims, Life)
}
