package serviceauth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/jws"
)

const pemType = "PRIVATE KEY"

// NewPrivateKey returns a new Ed25519 key as SERVICE_KEY holds it: PKCS #8 in PEM
// (RFC 8410), one block for each key.
func NewPrivateKey() []byte {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // rand.Reader does not fail
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err) // Ed25519 keys always marshal
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}

// PublicKey is the public half of a service's key.
type PublicKey struct {
	Service string
	Key     ed25519.PublicKey
}

// String returns an entry of SERVICE_PUBLIC_KEYS: the service, and the key in base64url as x
// of a JSON Web Key (RFC 8037).
func (p PublicKey) String() string {
	return p.Service + ":" + base64.RawURLEncoding.EncodeToString(p.Key)
}

// ID returns the key's id in tokens: its JWK thumbprint (RFC 7638).
func (p PublicKey) ID() string { return jws.Thumbprint(p.Key) }

// PublicKeys returns the public halves of the private keys in text, a value of SERVICE_KEY
// for the named service.
func PublicKeys(service, text string) ([]PublicKey, error) {
	keys, err := parsePrivate(service, text)
	if err != nil {
		return nil, err
	}
	list := make([]PublicKey, len(keys))
	for i, k := range keys {
		list[i] = PublicKey{service, k.public}
	}
	return list, nil
}

func parsePairs(cfg Config, service string) (Keys, error) {
	private, badPrivate := parsePrivate(service, cfg.Key.Reveal())
	public, badPublic := parsePublic(cfg.PublicKeys.Reveal())
	var errs []error
	if badPrivate != nil {
		errs = append(errs, env.Invalid("SERVICE_KEY", "%v", badPrivate))
	}
	if badPublic != nil {
		errs = append(errs, env.Invalid("SERVICE_PUBLIC_KEYS", "%v", badPublic))
	}
	for _, k := range private {
		known := func(p key) bool { return p.id == k.id && p.owner == k.owner }
		if badPublic == nil && !slices.ContainsFunc(public, known) {
			errs = append(errs, env.Invalid("SERVICE_KEY", "SERVICE_PUBLIC_KEYS does not have its public key %s for %s", k.id, service))
		}
	}
	if len(errs) > 0 {
		return Keys{}, errors.Join(errs...)
	}
	return Keys{method: jwt.SigningMethodEdDSA, sign: private, verify: public}, nil
}

var errNoKeys = errors.New("contains no key")

func parsePrivate(service, text string) ([]key, error) {
	private, err := PrivateKeys(text)
	keys := make([]key, len(private))
	for i, k := range private {
		keys[i] = newKey(service, k.Public().(ed25519.PublicKey), string(k.Seed()))
	}
	return keys, err
}

// PrivateKeys reads Ed25519 keys as [NewPrivateKey] returns them, at least one. Its error
// does not quote text.
func PrivateKeys(text string) ([]ed25519.PrivateKey, error) {
	var keys []ed25519.PrivateKey
	rest := []byte(text)
	for len(bytes.TrimSpace(rest)) > 0 {
		block, after := pem.Decode(rest)
		if block == nil || block.Type != pemType {
			return nil, fmt.Errorf("key %d is not a PEM block %q", len(keys)+1, pemType)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		private, ok := parsed.(ed25519.PrivateKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("key %d is not an Ed25519 key in PKCS #8", len(keys)+1)
		}
		keys = append(keys, private)
		rest = after
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

func parsePublic(list string) ([]key, error) {
	var keys []key
	var errs []error
	entries := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '\n' })
	for i, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		service, x, _ := strings.Cut(entry, ":")
		public, err := base64.RawURLEncoding.Strict().DecodeString(x)
		if err != nil || len(public) != ed25519.PublicKeySize || !env.IsServiceName(service) {
			errs = append(errs, fmt.Errorf("entry %d is not service:key with 32 bytes in base64url", i+1))
			continue
		}
		k := newKey(service, public, "")
		if slices.ContainsFunc(keys, func(other key) bool { return other.id == k.id }) {
			errs = append(errs, fmt.Errorf("entry %d occurs twice", i+1))
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 && len(errs) == 0 {
		errs = append(errs, errNoKeys)
	}
	return keys, errors.Join(errs...)
}

func newKey(service string, public ed25519.PublicKey, seed string) key {
	return key{id: jws.Thumbprint(public), owner: service, public: public, secret: env.NewSecret(seed)}
}
