package serviceauth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/env"
)

// Signer makes the tokens of one calling service. It is safe for concurrent use.
type Signer struct {
	keys    Keys
	service string

	mu        sync.RWMutex
	issued    map[purpose]issued
	fallbacks map[string]fallback // by audience
}

// purpose is what a token is good for: calls to a service, on behalf of a user or, with
// uuid.Nil, of the caller itself.
type purpose struct {
	audience string
	user     uuid.UUID
}

type issued struct {
	token string
	key   int // index of the key that signed it
	renew time.Time
}

// fallback is another than the first key, for an audience that refused that one.
type fallback struct {
	key   int
	until time.Time
}

const fallbackTime = time.Minute

// userLife is how long a token for calls on behalf of a user lasts.
const userLife = 5 * time.Minute

// NewSigner returns the signer of the named service.
func NewSigner(k Keys, service string) *Signer {
	return &Signer{keys: k, service: service, issued: map[purpose]issued{}, fallbacks: map[string]fallback{}}
}

// Token returns a token for calls to the service called audience. Tokens live for an
// hour and are reused for 80 % of it, so most calls cost a map lookup. It fails when
// one of the names is not a service name (lower-case letters, digits and hyphens) or
// when there are no keys.
func (s *Signer) Token(audience string) (string, error) { return s.TokenFor(audience, uuid.Nil) }

// TokenFor is Token for calls on behalf of a user: the token has the user as sub and the
// service in act (RFC 8693, 4.1), and lives for five minutes. uuid.Nil is no user.
func (s *Signer) TokenFor(audience string, user uuid.UUID) (string, error) {
	p, now := purpose{audience, user}, time.Now()
	s.mu.RLock()
	last, key := s.issued[p], s.key(audience, now)
	s.mu.RUnlock()
	if last.key == key && now.Before(last.renew) {
		return last.token, nil
	}
	// Callers who arrive together may each sign a token; all are valid.
	signed, err := s.sign(p, key, now)
	if err != nil {
		return "", fmt.Errorf("sign token for %q: %w", audience, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.issued) >= maxCached {
		clear(s.issued)
	}
	s.issued[p] = issued{token: signed, key: key, renew: now.Add(p.life() * 8 / 10)}
	return signed, nil
}

// Refused reports whether there is another token to try after audience refused one that
// TokenFor returned for user. An instance that started before a change of keys does not know
// the newest one: for a minute, all tokens for audience are then under the next key.
func (s *Signer) Refused(audience string, user uuid.UUID, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, now := s.issued[purpose{audience, user}], time.Now()
	key := s.key(audience, now)
	if last.token != "" && (last.token != token || last.key != key) {
		return true // another call has changed the key meanwhile
	}
	if len(s.keys.sign) < 2 {
		return false
	}
	s.fallbacks[audience] = fallback{(key + 1) % len(s.keys.sign), now.Add(fallbackTime)}
	return true
}

// key returns the index of the key that signs for audience. A lock is held.
func (s *Signer) key(audience string, now time.Time) int {
	if f := s.fallbacks[audience]; now.Before(f.until) {
		return f.key
	}
	return 0
}

func (p purpose) life() time.Duration {
	if p.user != uuid.Nil {
		return userLife
	}
	return life
}

func (s *Signer) sign(p purpose, key int, now time.Time) (string, error) {
	if len(s.keys.sign) == 0 {
		return "", errors.New("no key")
	}
	if !env.IsServiceName(s.service) || !env.IsServiceName(p.audience) {
		return "", fmt.Errorf("%q or the audience is not a service name", s.service)
	}
	claims := jwt.MapClaims{
		"service": s.service, "iss": s.service, "aud": p.audience, "iat": now.Unix(), "exp": now.Add(p.life()).Unix(),
	}
	if p.user != uuid.Nil {
		claims["sub"], claims["act"] = p.user.String(), map[string]string{"sub": s.service}
	}
	token := jwt.NewWithClaims(s.keys.method, claims)
	k := s.keys.sign[key]
	if k.public != nil || len(s.keys.sign) > 1 && key == 0 { // SERVICE_SECRET, which it falls back to, has no id
		token.Header["kid"] = k.id
	}
	if k.public != nil {
		return token.SignedString(ed25519.NewKeyFromSeed([]byte(k.secret.Reveal())))
	}
	return token.SignedString([]byte(k.secret.Reveal()))
}
