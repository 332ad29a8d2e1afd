package userauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/jws"
)

const (
	// Header is the HTTP header that carries the token, in exactly one line.
	Header = "Authorization"
	// Audience is the aud of access tokens.
	Audience = "public-api"
	// Type is the typ of access tokens.
	Type = "at+jwt"
	// Life is the longest life of an access token.
	Life = 10 * time.Minute
)

const scheme = "Bearer "

// maxCached is how many people's tokens are kept, in about a megabyte.
const maxCached = 10_000

// ErrInvalid is the error of a token that is not exactly as it should be. The reason is its
// cause and goes to the log, not to the client.
var ErrInvalid = fault.New(fault.Unauthenticated, "invalid_access_token", "Invalid access token")

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	parser *jwt.Parser
	keys   Keys
	cache  *jws.Cache[uuid.UUID]
}

// NewVerifier returns a verifier of the tokens that issuer signs with one of keys.
func NewVerifier(issuer string, keys Keys) *Verifier {
	return &Verifier{keys: keys, cache: jws.NewCache[uuid.UUID](maxCached), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(jws.Leeway), jwt.WithStrictDecoding())}
}

// Verify returns the id of the user of the token in h. A token seen before costs a digest
// and a map lookup. The error is [ErrInvalid], whose cause never quotes the token, or
// [ErrKeysUnavailable].
func (v *Verifier) Verify(ctx context.Context, h http.Header) (uuid.UUID, error) {
	line, err := bearer(h)
	if err != nil {
		return uuid.Nil, ErrInvalid.With(err)
	}
	if user, ok := v.cache.Get(line); ok {
		return user, nil
	}
	if !jws.IsCompact(line) {
		return uuid.Nil, ErrInvalid.With(errors.New("token with foreign characters"))
	}
	var c claims
	_, err = v.parser.ParseWithClaims(line, &c, func(t *jwt.Token) (any, error) { return v.key(ctx, t) })
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return uuid.Nil, err
	case err != nil:
		return uuid.Nil, ErrInvalid.With(err)
	}
	v.cache.Add(line, c.user, c.ExpiresAt.Time)
	return c.user, nil
}

// bearer returns the token of the only Authorization line (RFC 6750, 2.1).
func bearer(h http.Header) (string, error) {
	lines := h.Values(Header)
	if len(lines) != 1 {
		return "", fmt.Errorf("%d lines of %s", len(lines), Header)
	}
	line := lines[0]
	if len(line) < len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) {
		return "", errors.New("not a bearer token")
	}
	bearer := line[len(scheme):]
	if len(bearer) > jws.MaxSize {
		return "", fmt.Errorf("token of %d bytes", len(bearer))
	}
	return bearer, nil
}

// key chooses the key for a token by its header, of which nothing is trusted yet.
func (v *Verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("crit is not supported")
	}
	if t.Header["typ"] != Type {
		return nil, errors.New("not an access token")
	}
	kid, ok := t.Header["kid"].(string)
	if !ok {
		return nil, errors.New("kid is missing")
	}
	return v.keys.Key(ctx, kid)
}
