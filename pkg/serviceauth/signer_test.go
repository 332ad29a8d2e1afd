package serviceauth_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

func TestTokenClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signed := token(t, serviceauth.NewSigner(oneKey(t, secret), caller), callee)
		parsed, err := jwt.Parse(signed, func(*jwt.Token) (any, error) { return []byte(secret), nil })
		if err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().Unix())
		want := jwt.MapClaims{
			"service": caller, "iss": caller, "aud": callee, "iat": now, "exp": now + 3600,
		}
		if diff := cmp.Diff(want, parsed.Claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"alg": "HS256", "typ": "JWT"}, parsed.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	})
}

func TestTokenIsReusedForFourFifthsOfItsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signer := serviceauth.NewSigner(oneKey(t, secret), caller)
		first := token(t, signer, callee)
		if token(t, signer, "billing-service") == first {
			t.Error("one token for two audiences")
		}
		pass(48*time.Minute - time.Second)
		if token(t, signer, callee) != first {
			t.Error("renewed before 48 minutes")
		}
		pass(time.Second)
		if token(t, signer, callee) == first {
			t.Error("not renewed after 48 minutes")
		}
	})
}

func TestVerifierDropsExpiredTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := oneKey(t, secret)
		h := header(token(t, serviceauth.NewSigner(keys, caller), callee))
		verifier := serviceauth.NewVerifier(keys, callee)
		for _, wait := range []time.Duration{0, 0, time.Hour, 29 * time.Second} {
			pass(wait)
			if _, err := verifier.Verify(h); err != nil {
				t.Fatalf("after %v more: %v", wait, err)
			}
		}
		pass(time.Second)
		if _, err := verifier.Verify(h); err == nil {
			t.Error("accepted 30 s after exp")
		}
	})
}

func TestTokenRefusesNames(t *testing.T) {
	t.Parallel()
	keys := oneKey(t, secret)
	for _, names := range [][2]string{{"", callee}, {caller, ""}, {"Order", callee}, {caller, "a b"}} {
		if got, err := serviceauth.NewSigner(keys, names[0]).Token(names[1]); err == nil {
			t.Errorf("%q to %q: signed %q", names[0], names[1], got)
		}
	}
}

func TestZeroKeysDoNothing(t *testing.T) {
	t.Parallel()
	if got, err := serviceauth.NewSigner(serviceauth.Keys{}, caller).Token(callee); err == nil {
		t.Errorf("signed %q", got)
	}
	empty := signWith(t, jwt.SigningMethodHS256, []byte{}, nil, nil)
	if _, err := serviceauth.NewVerifier(serviceauth.Keys{}, callee).Verify(header(empty)); err == nil {
		t.Error("verified without keys")
	}
}

// TestRotation walks through the steps of a change of secret or key. During each, some services are at the
// earlier step and some at the later, and a call between any two succeeds: at once, or under
// the signer's other key. From one secret straight to two, with the new one first, is one of
// the steps.
func TestRotation(t *testing.T) {
	t.Parallel()
	const old, fresh = secret, "fedcba9876543210fedcba9876543210"
	oldKey, freshKey := serviceauth.NewPrivateKey(), serviceauth.NewPrivateKey()
	oldPublic, freshPublic := publicKey(t, caller, oldKey).String(), publicKey(t, caller, freshKey).String()
	pair := func(public string, private ...[]byte) serviceauth.Config {
		return serviceauth.Config{Key: env.NewSecret(string(bytes.Join(private, nil))), PublicKeys: env.NewSecret(public)}
	}
	for name, steps := range map[string][]serviceauth.Config{
		"secrets": {
			{Secret: env.NewSecret(old)},
			{Secrets: env.NewSecret("k2:" + fresh + ",k1:" + old)},
			{Secrets: env.NewSecret("k2:" + fresh)},
			{Secret: env.NewSecret(fresh)},
		},
		"secrets, the new one last at first": {
			{Secrets: env.NewSecret("k1:" + old)},
			{Secrets: env.NewSecret("k1:" + old + ",k2:" + fresh)},
			{Secrets: env.NewSecret("k2:" + fresh + ",k1:" + old)},
			{Secrets: env.NewSecret("k2:" + fresh)},
		},
		"keys": {
			pair(oldPublic, oldKey),
			pair(freshPublic+"\n"+oldPublic+"\n", freshKey, oldKey),
			pair(freshPublic, freshKey),
		},
	} {
		for i := range steps[1:] {
			before, after := parseKeys(t, steps[i]), parseKeys(t, steps[i+1])
			for _, pair := range [][2]serviceauth.Keys{{before, after}, {after, before}, {after, after}} {
				if err := call(t, serviceauth.NewSigner(pair[0], caller), serviceauth.NewVerifier(pair[1], callee)); err != nil {
					t.Errorf("%s, step %d: %v", name, i+1, err)
				}
			}
		}
		last := serviceauth.NewVerifier(parseKeys(t, steps[len(steps)-1]), callee)
		if err := call(t, serviceauth.NewSigner(parseKeys(t, steps[0]), caller), last); err == nil {
			t.Errorf("%s: the old one outlives the rotation", name)
		}
	}
}

// call sends a token, and another one as long as the signer has one for a refused one.
func call(t *testing.T, signer *serviceauth.Signer, verifier *serviceauth.Verifier) error {
	t.Helper()
	for range 2 {
		signed := token(t, signer, callee)
		_, err := verifier.Verify(header(signed))
		if err == nil || !signer.Refused(callee, uuid.Nil, signed) {
			return err
		}
	}
	return errors.New("refused under two keys")
}

// After a refusal the next key signs, for a minute; then the first is tried again.
func TestRefusedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signer := serviceauth.NewSigner(parseKeys(t, serviceauth.Config{
			Secrets: env.NewSecret("k2:fedcba9876543210fedcba9876543210,k1:" + secret),
		}), caller)
		first := token(t, signer, callee)
		for range 2 { // two calls sent it
			if !signer.Refused(callee, uuid.Nil, first) {
				t.Error("no other token")
			}
		}
		other := token(t, signer, callee)
		if other == first || token(t, signer, "billing-service") == other {
			t.Error("the refused token is still used, or the audiences are mixed up")
		}
		if kid := kidOf(t, tokenFor(t, signer, callee, uuid.New())); kid != "" {
			t.Errorf("a token for calls on behalf of a user has kid %q, want none: that of the other key", kid)
		}
		pass(time.Minute - time.Second)
		if token(t, signer, callee) != other {
			t.Error("the other key is used for less than a minute")
		}
		pass(time.Second)
		if token(t, signer, callee) == other {
			t.Error("the first key is not tried again")
		}
		if one := serviceauth.NewSigner(oneKey(t, secret), caller); one.Refused(callee, uuid.Nil, token(t, one, callee)) {
			t.Error("one key has no other")
		}
	})
}

func TestKidNamesTheKey(t *testing.T) {
	t.Parallel()
	const other = "fedcba9876543210fedcba9876543210"
	keys := parseKeys(t, serviceauth.Config{Secrets: env.NewSecret("k1:" + secret + ",k2:" + other)})
	verifier := serviceauth.NewVerifier(keys, callee)
	signed, _, err := jwt.NewParser().ParseUnverified(token(t, serviceauth.NewSigner(keys, caller), callee), jwt.MapClaims{})
	if err != nil || signed.Header["kid"] != "k1" {
		t.Errorf("signed with kid %v, %v; want the first", signed.Header["kid"], err)
	}
	if _, err := verifier.Verify(header(signWith(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "k1"}, nil))); err != nil {
		t.Errorf("kid k1 with its secret: %v", err)
	}
	if _, err := verifier.Verify(header(signWith(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "k2"}, nil))); err == nil {
		t.Error("kid k2 with the secret of k1 accepted")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	keys := oneKey(t, secret)
	signer, verifier := serviceauth.NewSigner(keys, caller), serviceauth.NewVerifier(keys, callee)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				signed, err := signer.Token(callee)
				if err != nil {
					t.Error(err)
				}
				if _, err := verifier.Verify(header(signed)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkToken(b *testing.B) {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(secret)}, caller, "test")
	if err != nil {
		b.Fatal(err)
	}
	signer := serviceauth.NewSigner(keys, caller)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Token(callee); err != nil {
			b.Fatal(err)
		}
	}
}

func tokenFor(t *testing.T, signer *serviceauth.Signer, audience string, user uuid.UUID) string {
	t.Helper()
	signed, err := signer.TokenFor(audience, user)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// kidOf returns the kid in a token's header, "" if there is none.
func kidOf(t *testing.T, signed string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(signed, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := parsed.Header["kid"].(string)
	return kid
}

func token(t *testing.T, signer *serviceauth.Signer, audience string) string {
	t.Helper()
	signed, err := signer.Token(audience)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// pass lets d pass on the clock of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
