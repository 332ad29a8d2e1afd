package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"time"
)

// Claims are those of a service token, in any types.
type Claims map[string]any

// Good returns claims that the audience accepts from the caller for an hour.
func Good(caller, audience string) Claims {
	now := time.Now()
	return Claims{
		"service": caller, "iss": caller, "aud": audience,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// With returns a copy in which key has the value, or is missing for nil.
func (c Claims) With(key string, value any) Claims {
	changed := maps.Clone(c)
	if changed[key] = value; value == nil {
		delete(changed, key)
	}
	return changed
}

// Sign returns a JWT of these claims by HMAC-SHA-256.
func (c Claims) Sign(secret string) string {
	return c.SignAs(Claims{"alg": "HS256", "typ": "JWT"}, sha256.New, secret)
}

// SignAs returns a JWT with any header, by HMAC over any hash.
func (c Claims) SignAs(header Claims, h func() hash.Hash, secret string) string {
	text := segment(header) + "." + segment(c)
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func segment(c Claims) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // claims are written by tests and always marshal
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
