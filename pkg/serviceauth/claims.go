package serviceauth

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
)

// life is how long a token lasts, and the longest life that is accepted.
const life = time.Hour

// claims is the payload of a token; all but nbf are required. Times are Unix seconds.
type claims struct {
	Service   string   `json:"service"`
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	IssuedAt  *float64 `json:"iat"` // NumericDate of RFC 7519, which may have a fraction
	ExpiresAt *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf,omitempty"`
}

func newClaims(service, callee string, now time.Time) *claims {
	issued, expires := float64(now.Unix()), float64(now.Add(life).Unix())
	return &claims{
		Service: service, Issuer: service, Audience: audience(callee),
		IssuedAt: &issued, ExpiresAt: &expires,
	}
}

// UnmarshalJSON is strict where encoding/json is not: names match in case and occur
// once, times are numbers and not strings.
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	return json.Unmarshal(data, (*plain)(c))
}

// Validate is called by the JWT parser after its own checks of exp, iat, nbf and aud.
func (c *claims) Validate() error {
	switch {
	case !env.IsServiceName(c.Service):
		return errors.New("service is missing or malformed")
	case c.Issuer != c.Service:
		return errors.New("iss is not the service")
	case c.IssuedAt == nil || c.ExpiresAt == nil:
		return errors.New("iat or exp is missing")
	case *c.IssuedAt < 0 || *c.ExpiresAt <= *c.IssuedAt || *c.ExpiresAt > maxDate:
		return errors.New("iat and exp are not a span of time")
	case *c.ExpiresAt-*c.IssuedAt > life.Seconds():
		return fmt.Errorf("life is longer than %v", life)
	}
	return nil
}

// GetExpirationTime implements [jwt.Claims].
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }

// GetIssuedAt implements [jwt.Claims].
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt), nil }

// GetNotBefore implements [jwt.Claims].
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore), nil }

// GetIssuer implements [jwt.Claims].
func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements [jwt.Claims].
func (c *claims) GetSubject() (string, error) { return "", nil }

// GetAudience implements [jwt.Claims].
func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{string(c.Audience)}, nil
}

// maxDate is past the year 5000 and far from what a time cannot hold.
const maxDate = 1e11

func date(seconds *float64) *jwt.NumericDate {
	if seconds == nil {
		return nil
	}
	return jwt.NewNumericDate(instant(*seconds))
}

func instant(seconds float64) time.Time {
	return time.UnixMilli(int64(min(max(seconds, 0), maxDate) * 1000))
}

// audience is one name. RFC 7519 allows a list as well, which libraries of other
// languages write; it is accepted with exactly one member.
type audience string

// UnmarshalJSON reads "name" or ["name"].
func (a *audience) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		return json.Unmarshal(data, (*string)(a))
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	if len(names) != 1 {
		return errors.New("aud does not name exactly one service")
	}
	*a = audience(names[0])
	return nil
}
