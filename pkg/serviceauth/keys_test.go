package serviceauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	const good = secret
	for _, tt := range []struct {
		name, one, several, appEnv string
		variable, problem          string
	}{
		{name: "none", variable: "SERVICE_SECRET", problem: "either"},
		{name: "both", one: good, several: "k1:" + good, variable: "SERVICE_SECRET", problem: "either"},
		{name: "short", one: good[1:], variable: "SERVICE_SECRET", problem: "fewer than 32"},
		{name: "demo", one: serviceauth.DemoSecret, variable: "SERVICE_SECRET", problem: "demo"},
		{name: "demo in staging", one: serviceauth.DemoSecret, appEnv: "staging", variable: "SERVICE_SECRET", problem: "demo"},
		{name: "short second", several: "k1:" + good + ",k2:abc", variable: "SERVICE_SECRETS", problem: "k2 has fewer"},
		{name: "demo second", several: "k1:" + good + ",k2:" + serviceauth.DemoSecret, variable: "SERVICE_SECRETS", problem: "k2 is the demo's"},
		{name: "no kid", several: good, appEnv: "test", variable: "SERVICE_SECRETS", problem: "entry 1"},
		{name: "path as kid", several: "../k:" + good, appEnv: "test", variable: "SERVICE_SECRETS", problem: "entry 1"},
		{name: "trailing comma", several: "k1:" + good + ",", appEnv: "test", variable: "SERVICE_SECRETS", problem: "entry 2"},
		{name: "kid twice", several: "k1:" + good + ",k1:" + good, appEnv: "test", variable: "SERVICE_SECRETS", problem: "twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.appEnv == "" {
				tt.appEnv = "production"
			}
			cfg := serviceauth.Config{Secret: env.NewSecret(tt.one), Secrets: env.NewSecret(tt.several)}
			_, err := serviceauth.ParseKeys(cfg, caller, tt.appEnv)
			problem, ok := errors.AsType[env.Problem](err)
			if !ok || problem.Variable != tt.variable || !strings.Contains(problem.Message, tt.problem) {
				t.Fatalf("ParseKeys: %v; want %s with %q", err, tt.variable, tt.problem)
			}
			if strings.Contains(err.Error(), good) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestParseKeysRefusesKeyPairs(t *testing.T) {
	t.Parallel()
	private, other := string(serviceauth.NewPrivateKey()), serviceauth.NewPrivateKey()
	public := publicKey(t, caller, []byte(private))
	list, foreign := public.String(), publicKey(t, "gateway", other).String()
	for _, tt := range []struct {
		name, key, public, secret string
		variable, problem         string
	}{
		{name: "with a secret", key: private, public: list, secret: secret, variable: "SERVICE_KEY", problem: "only one"},
		{name: "no public keys", key: private, variable: "SERVICE_PUBLIC_KEYS", problem: "no key"},
		{name: "no private key", public: list, variable: "SERVICE_KEY", problem: "no key"},
		{name: "public key missing", key: private, public: foreign, variable: "SERVICE_KEY", problem: "does not have its public key"},
		{name: "public key of another", key: private, public: strings.Replace(list, caller, "gateway", 1), variable: "SERVICE_KEY", problem: "for order-service"},
		{name: "second public key missing", key: private + string(other), public: list, variable: "SERVICE_KEY", problem: "does not have"},
		{name: "not PEM", key: "MC4CAQAwBQYDK2Vw", public: list, variable: "SERVICE_KEY", problem: "key 1 is not a PEM block"},
		{name: "text behind", key: private + "x", public: list, variable: "SERVICE_KEY", problem: "key 2 is not a PEM block"},
		{name: "RSA", key: rsaKey(t), public: list, variable: "SERVICE_KEY", problem: "not an Ed25519 key"},
		{name: "no service", key: private, public: list + "," + strings.TrimPrefix(list, caller+":"), variable: "SERVICE_PUBLIC_KEYS", problem: "entry 2 is not"},
		{name: "short", key: private, public: list + ",gateway:AAAA", variable: "SERVICE_PUBLIC_KEYS", problem: "entry 2 is not"},
		{name: "twice", key: private, public: list + "\n" + strings.Replace(list, caller, "gateway", 1), variable: "SERVICE_PUBLIC_KEYS", problem: "entry 2 occurs twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := serviceauth.ParseKeys(serviceauth.Config{
				Key: env.NewSecret(tt.key), PublicKeys: env.NewSecret(tt.public), Secret: env.NewSecret(tt.secret),
			}, caller, "development")
			problem, ok := errors.AsType[env.Problem](err)
			if !ok || problem.Variable != tt.variable || !strings.Contains(err.Error(), tt.problem) {
				t.Fatalf("ParseKeys: %v; want %s with %q", err, tt.variable, tt.problem)
			}
			if len(tt.key) > 0 && strings.Contains(err.Error(), strings.TrimSpace(tt.key)[:16]) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func rsaKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestParseKeysIsLenientInDevelopment(t *testing.T) {
	t.Parallel()
	for _, appEnv := range []string{"development", "test"} {
		for _, weak := range []string{"short", serviceauth.DemoSecret} {
			cfg := serviceauth.Config{Secret: env.NewSecret(weak)}
			if _, err := serviceauth.ParseKeys(cfg, caller, appEnv); err != nil {
				t.Errorf("%s: %v", appEnv, err)
			}
		}
	}
}

func TestDemoSecretIsLongEnough(t *testing.T) {
	t.Parallel()
	if len(serviceauth.DemoSecret) < 32 {
		t.Errorf("%d bytes", len(serviceauth.DemoSecret))
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s scheme) {
		private := secret
		if key, ok := s.key.(ed25519.PrivateKey); ok {
			private = string(key.Seed())
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			for _, value := range []any{s.keys, struct{ keys serviceauth.Keys }{s.keys}} {
				text := fmt.Sprintf(verb, value)
				for _, shown := range []string{private, fmt.Sprintf("%x", private), fmt.Sprintf("%d", []byte(private))} {
					if strings.Contains(text, shown) {
						t.Errorf("%s shows %s", verb, text)
					}
				}
			}
		}
	})
}

// FuzzParseKeys asserts that no error about a secret quotes it.
func FuzzParseKeys(f *testing.F) {
	f.Add("k1:" + secret + ",k2:" + secret)
	f.Add(secret)
	f.Add(",:,")
	f.Fuzz(func(t *testing.T, several string) {
		cfg := serviceauth.Config{Secrets: env.NewSecret(several)}
		_, err := serviceauth.ParseKeys(cfg, caller, "production")
		_, value, _ := strings.Cut(several, ":")
		if err != nil && len(value) > 20 && strings.Contains(err.Error(), value) {
			t.Errorf("%q in %v", value, err)
		}
	})
}
