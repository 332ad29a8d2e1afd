// Package jws has what service tokens (package serviceauth) and access tokens (package
// userauth) have in common: the id of a key, the form of a token, and a cache of genuine ones.
package jws

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"sync"
	"time"
)

const (
	// MaxSize is the size of a token in bytes up to which it is parsed; a genuine one has
	// about 400.
	MaxSize = 4 << 10
	// Leeway is how far clocks may differ.
	Leeway = 30 * time.Second
)

// Thumbprint returns the id of a key in tokens: its JWK thumbprint (RFC 7638, RFC 8037
// appendix A.3).
func Thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var compact = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// IsCompact reports whether s has only characters of the JWS compact serialization. The
// base64 decoder skips line ends, which would give one token several spellings.
func IsCompact(s string) bool { return compact.MatchString(s) }

// Cache holds what genuine tokens say until they expire: a caller sends the same one many
// times, and verifying it costs twenty times the look-up. Its keys are digests, so that the
// time of a look-up does not depend on how much of a guessed token is right. It is safe for
// concurrent use.
type Cache[T any] struct {
	limit  int
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]entry[T]
}

type entry[T any] struct {
	value   T
	expires time.Time
}

// NewCache returns a cache that is emptied when it holds limit tokens.
func NewCache[T any](limit int) *Cache[T] {
	return &Cache[T]{limit: limit, tokens: map[[sha256.Size]byte]entry[T]{}}
}

// Get returns the value of a token that was added and has not expired.
func (c *Cache[T]) Get(token string) (value T, ok bool) {
	digest := sha256.Sum256([]byte(token))
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.tokens[digest]
	return e.value, ok && time.Now().Before(e.expires)
}

// Add adds a token that was verified.
func (c *Cache[T]) Add(token string, value T, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= c.limit {
		clear(c.tokens)
	}
	c.tokens[sha256.Sum256([]byte(token))] = entry[T]{value, expires}
}
