package serviceauth

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
)

// Signer makes the tokens of one calling service. It is safe for concurrent use.
type Signer struct {
	keys    Keys
	service string

	mu     sync.RWMutex
	issued map[string]issued // by audience
}

type issued struct {
	token string
	renew time.Time
}

// NewSigner returns the signer of the named service.
func NewSigner(k Keys, service string) *Signer {
	return &Signer{keys: k, service: service, issued: map[string]issued{}}
}

// Token returns a token for calls to the service called audience. Tokens live for an
// hour and are reused for 80 % of it, so most calls cost a map lookup. It fails when
// one of the names is not a service name (lower-case letters, digits and hyphens) or
// when there are no keys.
func (s *Signer) Token(audience string) (string, error) {
	s.mu.RLock()
	last, ok := s.issued[audience]
	s.mu.RUnlock()
	now := time.Now()
	if ok && now.Before(last.renew) {
		return last.token, nil
	}
	return s.renew(audience, now)
}

// renew signs a new token. Callers who arrive together may each sign one; all are valid.
func (s *Signer) renew(audience string, now time.Time) (string, error) {
	token, err := s.sign(audience, now)
	if err != nil {
		return "", fmt.Errorf("sign token for %q: %w", audience, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[audience] = issued{token: token, renew: now.Add(life * 8 / 10)}
	return token, nil
}

func (s *Signer) sign(audience string, now time.Time) (string, error) {
	if len(s.keys.list) == 0 {
		return "", errors.New("no key")
	}
	if !env.IsServiceName(s.service) || !env.IsServiceName(audience) {
		return "", fmt.Errorf("%q or the audience is not a service name", s.service)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"service": s.service, "iss": s.service, "aud": audience, "iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	first := s.keys.list[0]
	if len(s.keys.list) > 1 {
		token.Header["kid"] = first.id
	}
	return token.SignedString([]byte(first.secret.Reveal()))
}
