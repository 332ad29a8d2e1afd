package serviceauth_test

import (
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
			_, err := serviceauth.ParseKeys(cfg, tt.appEnv)
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

func TestParseKeysIsLenientInDevelopment(t *testing.T) {
	t.Parallel()
	for _, appEnv := range []string{"development", "test"} {
		for _, weak := range []string{"short", serviceauth.DemoSecret} {
			cfg := serviceauth.Config{Secret: env.NewSecret(weak)}
			if _, err := serviceauth.ParseKeys(cfg, appEnv); err != nil {
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
	keys := oneKey(t, secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if text := fmt.Sprintf(verb, keys); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s shows %s", verb, text)
		}
	}
}

// FuzzParseKeys asserts that no error about a secret quotes it.
func FuzzParseKeys(f *testing.F) {
	f.Add("k1:" + secret + ",k2:" + secret)
	f.Add(secret)
	f.Add(",:,")
	f.Fuzz(func(t *testing.T, several string) {
		cfg := serviceauth.Config{Secrets: env.NewSecret(several)}
		_, err := serviceauth.ParseKeys(cfg, "production")
		_, value, _ := strings.Cut(several, ":")
		if err != nil && len(value) > 20 && strings.Contains(err.Error(), value) {
			t.Errorf("%q in %v", value, err)
		}
	})
}
