package services

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/userauth"
)

// accessSigner signs access tokens.
type accessSigner struct {
	issuer string
	key    ed25519.PrivateKey
	kid    string
}

func newAccessSigner(issuer string, key ed25519.PrivateKey) accessSigner {
	return accessSigner{issuer, key, jws.Thumbprint(key.Public().(ed25519.PublicKey))}
}

// session returns a session with a new access token of the user (RFC 9068, 2.2).
func (a accessSigner) session(user uuid.UUID, refreshToken string) (Session, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": a.issuer, "aud": userauth.Audience, "sub": user.String(), "client_id": "first-party", "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(userauth.Life).Unix(),
	})
	token.Header["typ"], token.Header["kid"] = userauth.Type, a.kid
	signed, err := token.SignedString(a.key)
	if err != nil {
		return Session{}, fmt.Errorf("sign access token: %w", err)
	}
	return Session{AccessToken: signed, RefreshToken: refreshToken, ExpiresIn: userauth.Life}, nil
}
