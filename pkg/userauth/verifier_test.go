package userauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/userauth"
)

const issuer = "user-service"

var (
	user    = uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")
	private = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	public  = private.Public().(ed25519.PublicKey)
	kid     = jws.Thumbprint(public)
)

func verifier() *userauth.Verifier { return userauth.NewVerifier(issuer, userauth.NewKeySet(public)) }

func header(value string) http.Header { return http.Header{userauth.Header: {value}} }

// sign signs a good token after changes; a nil value takes a claim or a header out.
func sign(t testing.TB, method jwt.SigningMethod, key any, head map[string]any, change jwt.MapClaims) string {
	t.Helper()
	now := time.Now().Unix()
	claims := jwt.MapClaims{"iss": issuer, "aud": "public-api", "sub": user.String(), "iat": now, "exp": now + 600}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(method, claims)
	token.Header["typ"], token.Header["kid"] = "at+jwt", kid
	maps.Copy(token.Header, head)
	maps.DeleteFunc(token.Header, func(_ string, v any) bool { return v == nil })
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func good(t testing.TB, change jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, private, nil, change)
}

func raw(head, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(text)))
}

func TestVerifyAcceptsGenuineTokens(t *testing.T) {
	t.Parallel()
	v, now := verifier(), time.Now().Unix()
	for name, line := range map[string]string{
		"as signed":          "Bearer " + good(t, nil),
		"scheme in any case": "bEARER " + good(t, nil),
		"clock ahead by 20s": "Bearer " + good(t, jwt.MapClaims{"iat": now + 20}),
		"expired 20s ago":    "Bearer " + good(t, jwt.MapClaims{"iat": now - 600, "exp": now - 20}),
		"further claims":     "Bearer " + good(t, jwt.MapClaims{"jti": "1", "client_id": "web", "nbf": now - 1}),
	} {
		for range 2 { // the second time from the cache
			if got, err := v.Verify(t.Context(), header(line)); err != nil || got != user {
				t.Errorf("%s: %s, %v; want %s", name, got, err, user)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	token, now := good(t, nil), time.Now().Unix()
	_, otherKey, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q}`, kid)
	payload := fmt.Sprintf(`{"iss":%q,"aud":"public-api","sub":%q,"iat":%d,"exp":%d}`, issuer, user, now, now+600)
	lines := map[string]http.Header{
		"no line":       {},
		"two lines":     {userauth.Header: {"Bearer " + token, "Bearer " + token}},
		"empty":         header(""),
		"no scheme":     header(token),
		"another":       header("Basic " + token),
		"two spaces":    header("Bearer  " + token),
		"tab":           header("Bearer\t" + token),
		"no token":      header("Bearer "),
		"two tokens":    header("Bearer " + token + ", Bearer " + token),
		"trailing line": header("Bearer " + token + "\n"),
	}
	for name, forged := range map[string]string{
		"stripped signature":       token[:strings.LastIndex(token, ".")+1],
		"altered signature":        token[:len(token)-3] + "AAA",
		"padding":                  token + "=",
		"fourth part":              token + ".x",
		"above 4 KiB":              good(t, jwt.MapClaims{"pad": strings.Repeat("x", 4<<10)}),
		"1 MiB":                    strings.Repeat("a", 1<<20),
		"another key":              sign(t, jwt.SigningMethodEdDSA, otherKey, nil, nil),
		"none":                     sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"HS256, public key as key": sign(t, jwt.SigningMethodHS256, []byte(public), nil, nil),
		"RS256":                    sign(t, jwt.SigningMethodRS256, rsaKey, nil, nil),
		"no typ":                   sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"typ": nil}, nil),
		"typ of a service token":   sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"typ": "JWT"}, nil),
		"no kid":                   sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"kid": nil}, nil),
		"unknown kid":              sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"kid": "k"}, nil),
		"kid as a number":          sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"kid": 1}, nil),
		"crit":                     sign(t, jwt.SigningMethodEdDSA, private, map[string]any{"crit": []string{}}, nil),
		"another issuer":           good(t, jwt.MapClaims{"iss": "order-service"}),
		"no issuer":                good(t, jwt.MapClaims{"iss": nil}),
		"audience of a service":    good(t, jwt.MapClaims{"aud": "user-service"}),
		"no audience":              good(t, jwt.MapClaims{"aud": nil}),
		"no sub":                   good(t, jwt.MapClaims{"sub": nil}),
		"sub is no id":             good(t, jwt.MapClaims{"sub": "ada"}),
		"sub is the nil id":        good(t, jwt.MapClaims{"sub": uuid.Nil.String()}),
		"sub in another form":      good(t, jwt.MapClaims{"sub": "{" + user.String() + "}"}),
		"no exp":                   good(t, jwt.MapClaims{"exp": nil}),
		"no iat":                   good(t, jwt.MapClaims{"iat": nil}),
		"exp as text":              good(t, jwt.MapClaims{"exp": fmt.Sprint(now + 600)}),
		"expired":                  good(t, jwt.MapClaims{"iat": now - 700, "exp": now - 100}),
		"future iat":               good(t, jwt.MapClaims{"iat": now + 100, "exp": now + 200}),
		"future nbf":               good(t, jwt.MapClaims{"nbf": now + 100}),
		"eleven minutes":           good(t, jwt.MapClaims{"exp": now + 660}),
		"exp before iat":           good(t, jwt.MapClaims{"iat": now + 10, "exp": now + 5}),
		"a claim twice":            raw(head, strings.Replace(payload, "{", `{"sub":"`+uuid.NewString()+`",`, 1)),
		"a claim in another case":  raw(head, strings.Replace(payload, `"sub"`, `"SUB"`, 1)),
		"not JSON":                 raw(head, "user"),
		"null":                     raw(head, "null"),
	} {
		lines[name] = header("Bearer " + forged)
	}
	v := verifier()
	for name, h := range lines {
		id, err := v.Verify(t.Context(), h)
		if !errors.Is(err, userauth.ErrInvalid) || id != uuid.Nil {
			t.Errorf("%s: %s, %v; want ErrInvalid", name, id, err)
		}
		if err != nil && strings.Contains(err.Error(), token[:40]) {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
	if got, err := v.Verify(t.Context(), header("Bearer "+raw(head, payload))); err != nil || got != user {
		t.Errorf("the payload of the forgeries: %s, %v", got, err)
	}
}

func TestTokensExpireInTheCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, h := verifier(), header("Bearer "+good(t, nil))
		for _, wait := range []time.Duration{0, 10 * time.Minute, 29 * time.Second} {
			<-time.After(wait)
			if _, err := v.Verify(t.Context(), h); err != nil {
				t.Fatalf("after %v more: %v", wait, err)
			}
		}
		<-time.After(time.Second)
		if _, err := v.Verify(t.Context(), h); err == nil {
			t.Error("accepted 30 s after exp")
		}
	})
}

func TestAllows(t *testing.T) {
	t.Parallel()
	service, person := t.Context(), userauth.WithUser(t.Context(), user)
	if !userauth.Allows(service, user) || !userauth.Allows(person, user) || userauth.Allows(person, uuid.New()) {
		t.Error("a service sees all, a person only their own")
	}
	if _, ok := userauth.User(context.Background()); ok {
		t.Error("a context without a user has one")
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(userauth.NewKeySet(public).JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"d"`) {
		t.Errorf("a private key is published: %s", text)
	}
	var read userauth.JWKS
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	read.Keys = append(read.Keys, userauth.JWK{KeyType: "RSA"}, userauth.JWK{KeyType: "OKP", Curve: "Ed25519", X: "AA"})
	keys, err := read.KeySet()
	if err != nil || len(keys) != 1 || !public.Equal(keys[kid]) {
		t.Errorf("read %v, %v; want the one good key", keys, err)
	}
	if _, err := (userauth.JWKS{}).KeySet(); err == nil {
		t.Error("a set without a key is one")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("Bearer " + good(f, nil))
	f.Add("Bearer a.b.c")
	f.Add(" ")
	f.Fuzz(func(t *testing.T, line string) {
		if id, err := verifier().Verify(t.Context(), header(line)); err == nil && id != user {
			t.Errorf("%q is of %s", line, id)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	b.Run("cached", func(b *testing.B) {
		v, h := verifier(), header("Bearer "+good(b, nil))
		for b.Loop() {
			if _, err := v.Verify(b.Context(), h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("uncached", func(b *testing.B) {
		h := header("Bearer " + good(b, nil))
		for b.Loop() {
			if _, err := verifier().Verify(b.Context(), h); err != nil {
				b.Fatal(err)
			}
		}
	})
}
