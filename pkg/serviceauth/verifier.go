package serviceauth

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
)

// maxCached is far above the number of callers times their instances.
const maxCached = 1000

// Verifier checks the tokens of calls to one service. It is safe for concurrent use.
type Verifier struct {
	parser *jwt.Parser
	byID   map[string]key
	shared jwt.VerificationKeySet // for tokens without kid
	cache  *jws.Cache[identity]
}

// identity is what a genuine token says.
type identity struct {
	service string
	user    uuid.UUID // uuid.Nil if the service calls for itself
}

// NewVerifier returns the verifier of the named service: the audience it insists on.
func NewVerifier(k Keys, service string) *Verifier {
	v := &Verifier{byID: map[string]key{}, cache: jws.NewCache[identity](maxCached)}
	methods := []string{} // none at all; nil would be any
	if k.method != nil {
		methods = append(methods, k.method.Alg())
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(methods),
		jwt.WithAudience(service), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(jws.Leeway), jwt.WithStrictDecoding())
	for _, key := range k.verify {
		if key.public == nil {
			v.shared.Keys = append(v.shared.Keys, key.verification())
		}
		if key.id != "" {
			v.byID[key.id] = key
		}
	}
	return v
}

// Verify returns the name of the calling service. A token seen before costs a digest and
// a map lookup. Without a token in h the error is [ErrRequired]; with one that is not exactly
// as it should be it is [ErrInvalid], whose cause is the reason and never quotes the token.
func (v *Verifier) Verify(h http.Header) (caller string, err error) {
	caller, _, err = v.Identify(h)
	return caller, err
}

// Identify is Verify; it also returns the id of the user on whose behalf the service calls,
// uuid.Nil if it calls for itself.
func (v *Verifier) Identify(h http.Header) (caller string, user uuid.UUID, err error) {
	lines := h.Values(Header)
	switch {
	case len(lines) == 0 || len(lines) == 1 && lines[0] == "":
		return "", uuid.Nil, ErrRequired
	case len(lines) > 1:
		return "", uuid.Nil, ErrInvalid.With(errors.New("several tokens"))
	}
	genuine, err := v.check(lines[0])
	if err != nil {
		return "", uuid.Nil, ErrInvalid.With(err)
	}
	return genuine.service, genuine.user, nil
}

func (v *Verifier) check(line string) (identity, error) {
	if len(line) > jws.MaxSize {
		return identity{}, fmt.Errorf("token of %d bytes", len(line))
	}
	if genuine, ok := v.cache.Get(line); ok {
		return genuine, nil
	}
	if !jws.IsCompact(line) {
		return identity{}, errors.New("token with foreign characters")
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(line, &c, v.key); err != nil {
		return identity{}, err
	}
	genuine := identity{c.Service, c.user}
	v.cache.Add(line, genuine, c.ExpiresAt.Time)
	return genuine, nil
}

// key chooses the key for a token by its header, of which nothing is trusted yet.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("crit is not supported")
	}
	kid, ok := t.Header["kid"]
	if !ok && len(v.shared.Keys) > 0 {
		return v.shared, nil
	}
	id, _ := kid.(string)
	key, ok := v.byID[id]
	if !ok {
		return nil, errors.New("unknown kid")
	}
	if c, ok := t.Claims.(*claims); !ok || key.owner != "" && key.owner != c.Service {
		return nil, errors.New("the key belongs to another service")
	}
	return key.verification(), nil
}

func (k key) verification() any {
	if k.public != nil {
		return k.public
	}
	return []byte(k.secret.Reveal())
}
