package serviceauth_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// scheme is one of the two ways to sign, with the keys that caller and callee have.
type scheme struct {
	name    string
	keys    serviceauth.Keys
	method  jwt.SigningMethod
	key     any            // of caller
	head    map[string]any // of each token
	gateway string         // kid of another service's key, "" if the secret is shared
}

func schemes(t *testing.T) []scheme {
	t.Helper()
	private, gateway := serviceauth.NewPrivateKey(), serviceauth.NewPrivateKey()
	mine, others := publicKey(t, caller, private), publicKey(t, "gateway", gateway)
	block, _ := pem.Decode(private)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pair := serviceauth.Config{Key: env.NewSecret(string(private)), PublicKeys: env.NewSecret(mine.String() + "," + others.String())}
	return []scheme{
		{name: "HS256", keys: oneKey(t, secret), method: jwt.SigningMethodHS256, key: []byte(secret)},
		{name: "EdDSA", keys: parseKeys(t, pair), method: jwt.SigningMethodEdDSA, key: key,
			head: map[string]any{"kid": mine.ID()}, gateway: others.ID()},
	}
}

// both runs f for each scheme.
func both(t *testing.T, f func(*testing.T, scheme)) {
	t.Helper()
	for _, s := range schemes(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

func publicKey(t *testing.T, service string, private []byte) serviceauth.PublicKey {
	t.Helper()
	keys, err := serviceauth.PublicKeys(service, string(private))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

func (s scheme) public() (ed25519.PublicKey, bool) {
	key, ok := s.key.(ed25519.PrivateKey)
	if !ok {
		return nil, false
	}
	return key.Public().(ed25519.PublicKey), true
}

// sign signs a good token after changing it; a nil claim is left out.
func (s scheme) sign(t *testing.T, head map[string]any, change jwt.MapClaims) string {
	t.Helper()
	merged := maps.Clone(s.head)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, head)
	return signWith(t, s.method, s.key, merged, change)
}

// header returns the text of a genuine token's header.
func (s scheme) header() string {
	head := map[string]any{"alg": s.method.Alg()}
	maps.Copy(head, s.head)
	text, err := json.Marshal(head)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// raw signs header and payload texts as they are.
func (s scheme) raw(t *testing.T, head, body string) string {
	t.Helper()
	text := encode(head) + "." + encode(body)
	signature, err := s.method.Sign(text, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + strings.TrimRight(encode(string(signature)), "=")
}
