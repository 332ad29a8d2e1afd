package serviceauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceauth"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	caller = "order-service"
	callee = "user-service"
)

func TestVerifyAcceptsGenuineTokens(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s scheme) {
		verifier := serviceauth.NewVerifier(s.keys, callee)
		for name, token := range map[string]string{
			"as signed":          s.sign(t, nil, nil),
			"aud as a list":      s.sign(t, nil, jwt.MapClaims{"aud": []string{callee}}),
			"past nbf":           s.sign(t, nil, jwt.MapClaims{"nbf": seconds(-time.Minute)}),
			"clock ahead by 20s": s.sign(t, nil, jwt.MapClaims{"iat": seconds(20 * time.Second)}),
			"expired 20s ago":    s.sign(t, nil, jwt.MapClaims{"iat": seconds(-time.Hour), "exp": seconds(-20 * time.Second)}),
			"raw":                s.raw(t, s.header(), payload()),
			"fractional seconds": s.sign(t, nil, jwt.MapClaims{"iat": float64(seconds(0)) - 0.5, "exp": float64(seconds(time.Minute)) + 0.5}),
			"further claims":     s.sign(t, nil, jwt.MapClaims{"jti": "1", "sub": "x"}),
			"by the signer":      token(t, serviceauth.NewSigner(s.keys, caller), callee),
		} {
			got, err := verifier.Verify(header(token))
			if err != nil || got != caller {
				t.Errorf("%s: Verify = %q, %v; want %q", name, got, err, caller)
			}
		}
	})
}

func TestVerifyRequiresToken(t *testing.T) {
	t.Parallel()
	verifier := serviceauth.NewVerifier(oneKey(t, secret), callee)
	for name, h := range map[string]http.Header{"no header": {}, "nil": nil, "empty": header("")} {
		_, err := verifier.Verify(h)
		if !errors.Is(err, serviceauth.ErrRequired) {
			t.Errorf("%s: error %v, want ErrRequired", name, err)
		}
		if f := fault.From(err); f.Message() != "Service token required" || f.Kind().Status() != 401 {
			t.Errorf("%s: answered %d %q", name, f.Kind().Status(), f.Message())
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s scheme) {
		verifier := serviceauth.NewVerifier(s.keys, callee)
		for name, h := range s.forgeries(t) {
			got, err := verifier.Verify(h)
			if got != "" || !errors.Is(err, serviceauth.ErrInvalid) {
				t.Errorf("%s: Verify = %q, %v; want ErrInvalid", name, got, err)
				continue
			}
			if f := fault.From(err); f.Message() != "Invalid service token" || f.Kind().Status() != 401 {
				t.Errorf("%s: answered %d %q", name, f.Kind().Status(), f.Message())
			}
			for _, line := range h[serviceauth.Header] {
				if len(line) > 8 && strings.Contains(err.Error(), line) {
					t.Errorf("%s: the error quotes the token: %v", name, err)
				}
			}
		}
	})
}

// FuzzVerify feeds the verifier arbitrary header lines: whatever it accepts must be a
// token that was signed with the secret.
func FuzzVerify(f *testing.F) {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secrets: env.NewSecret("k1:" + secret)}, caller, "test")
	if err != nil {
		f.Fatal(err)
	}
	verifier := serviceauth.NewVerifier(keys, callee)
	token, err := serviceauth.NewSigner(keys, caller).Token(callee)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(unsigned(`{"alg":"none"}`))
	f.Add(unsigned(`{"alg":"HS256","kid":"k1","crit":["x"]}`) + "AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, line string) {
		name, err := verifier.Verify(header(line))
		if err == nil && line != token {
			t.Fatalf("accepted %q as %q", line, name)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	private := string(serviceauth.NewPrivateKey())
	public, err := serviceauth.PublicKeys(caller, private)
	if err != nil {
		b.Fatal(err)
	}
	for name, cfg := range map[string]serviceauth.Config{
		"HS256": {Secret: env.NewSecret(secret)},
		"EdDSA": {Key: env.NewSecret(private), PublicKeys: env.NewSecret(public[0].String())},
	} {
		keys, err := serviceauth.ParseKeys(cfg, caller, "test")
		if err != nil {
			b.Fatal(err)
		}
		token, err := serviceauth.NewSigner(keys, caller).Token(callee)
		if err != nil {
			b.Fatal(err)
		}
		h := header(token)
		b.Run(name+", seen before", func(b *testing.B) {
			verifier := serviceauth.NewVerifier(keys, callee)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(h); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+", new", func(b *testing.B) {
			verifier := serviceauth.NewVerifier(keys, callee)
			b.ReportAllocs()
			for b.Loop() {
				verifier.Forget()
				if _, err := verifier.Verify(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func header(token string) http.Header { return http.Header{serviceauth.Header: {token}} }

func seconds(fromNow time.Duration) int64 { return time.Now().Add(fromNow).Unix() }

func oneKey(t *testing.T, secret string) serviceauth.Keys {
	t.Helper()
	return parseKeys(t, serviceauth.Config{Secret: env.NewSecret(secret)})
}

func parseKeys(t *testing.T, cfg serviceauth.Config) serviceauth.Keys {
	t.Helper()
	keys, err := serviceauth.ParseKeys(cfg, caller, "production")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
