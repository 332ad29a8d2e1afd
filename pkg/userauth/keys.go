package userauth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"maps"
	"slices"

	"github.com/go-troika/troika/pkg/jws"
)

// Keys finds the public key of a kid. It is safe for concurrent use. The error is nil, an
// error of a kid that does not exist, or ErrKeysUnavailable.
type Keys interface {
	Key(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// KeySet holds public keys by their kid. It implements [Keys].
type KeySet map[string]ed25519.PublicKey

// NewKeySet returns the set of the keys.
func NewKeySet(keys ...ed25519.PublicKey) KeySet {
	s := KeySet{}
	for _, k := range keys {
		s[jws.Thumbprint(k)] = k
	}
	return s
}

var errUnknownKey = errors.New("unknown kid")

// Key implements [Keys].
func (s KeySet) Key(_ context.Context, kid string) (ed25519.PublicKey, error) {
	if key, ok := s[kid]; ok {
		return key, nil
	}
	return nil, errUnknownKey
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWKS is a JSON Web Key Set (RFC 7517, 5).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is a public key (RFC 7517, 4; RFC 8037, 2).
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// JWKS returns the set as it is published, ordered by kid.
func (s KeySet) JWKS() JWKS {
	set := JWKS{Keys: []JWK{}}
	for _, kid := range slices.Sorted(maps.Keys(s)) {
		set.Keys = append(set.Keys, JWK{"OKP", "Ed25519", encode(s[kid]), kid, "sig", "EdDSA"})
	}
	return set
}

// KeySet returns the Ed25519 keys of the set. Others are ignored. It fails if there are none.
func (j JWKS) KeySet() (KeySet, error) {
	s := KeySet{}
	for _, k := range j.Keys {
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if err != nil || k.KeyType != "OKP" || k.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
			continue
		}
		s[jws.Thumbprint(x)] = x
	}
	if len(s) == 0 {
		return nil, errors.New("the set has no Ed25519 key")
	}
	return s, nil
}
