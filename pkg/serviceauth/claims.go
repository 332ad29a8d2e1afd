package serviceauth

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/jws"
)

// life is how long a token lasts, and the longest life that is accepted.
const life = time.Hour

// claims is the payload of a token that was received.
type claims struct {
	jwt.RegisteredClaims
	Service string
	user    uuid.UUID // on whose behalf the service acts, uuid.Nil for none
}

// UnmarshalJSON is strict where encoding/json is not: names match in case and occur
// once, times are numbers and not strings. All but nbf are required.
func (c *claims) UnmarshalJSON(data []byte) error {
	var payload struct {
		Service  string   `json:"service"`
		Issuer   string   `json:"iss"`
		Audience audience `json:"aud"`
		jws.Times
		Subject string `json:"sub"`
		Actor   *actor `json:"act"`
	}
	if err := json.Unmarshal(data, &payload); err != nil {
		return err
	}
	switch {
	case !env.IsServiceName(payload.Service):
		return errors.New("service is missing or malformed")
	case payload.Issuer != payload.Service:
		return errors.New("iss is not the service")
	}
	c.Service, c.Issuer, c.Audience = payload.Service, payload.Issuer, jwt.ClaimStrings(payload.Audience)
	user, err := uuid.Parse(payload.Subject)
	switch {
	case err != nil && payload.Actor == nil: // the service acts for itself
	case err != nil, user == uuid.Nil, user.String() != payload.Subject,
		payload.Actor == nil, payload.Actor.Subject != payload.Service:
		return errors.New("sub and act are not a user and the service")
	default:
		c.user = user
	}
	return payload.Set(&c.RegisteredClaims, life)
}

// actor is the service that acts on behalf of the subject (RFC 8693, 4.1).
type actor struct {
	Subject string `json:"sub"`
}

// audience is one name. RFC 7519 allows a list as well, which libraries of other
// languages write; it is accepted with exactly one member.
type audience []string

// UnmarshalJSON reads "name" or ["name"].
func (a *audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '[' {
		*a = make(audience, 1)
		return json.Unmarshal(data, &(*a)[0])
	}
	if err := json.Unmarshal(data, (*[]string)(a)); err != nil {
		return err
	}
	if len(*a) != 1 {
		return errors.New("aud does not name exactly one service")
	}
	return nil
}
