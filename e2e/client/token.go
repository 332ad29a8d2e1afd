package client

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/go-troika/troika/e2e/environment"
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

// Sign returns a JWT of these claims as the services expect it: signed with the key of signer,
// or with the secret that all share.
func (c Claims) Sign(signer string) string {
	if environment.Keys == "" {
		return c.SignAs(Claims{"alg": "HS256", "typ": "JWT"}, sha256.New, environment.Secret)
	}
	key, err := readKey(filepath.Join(environment.Keys, signer+".pem"))
	if err != nil {
		panic(err) // the environment has made the keys
	}
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	thumbprint := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`)) // RFC 7638
	kid := base64.RawURLEncoding.EncodeToString(thumbprint[:])
	text := segment(Claims{"alg": "EdDSA", "typ": "JWT", "kid": kid}) + "." + segment(c)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func readKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has no Ed25519 key: %v", path, err)
	}
	return key, nil
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
