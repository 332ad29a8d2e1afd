package config_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/services/user-service/internal/config"
)

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed([]byte("troika demo key, not for real use")[:ed25519.SeedSize]))
	if err != nil {
		t.Fatal(err)
	}
	demo := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	good := string(serviceauth.NewPrivateKey())
	for name, tc := range map[string]struct{ env, key, problem string }{
		"the demo's by default":  {"development", "", ""},
		"the demo's in a test":   {"test", demo, ""},
		"none in production":     {"production", "", "is required"},
		"the demo's, for real":   {"production", demo, "is the demo's"},
		"the demo's as a second": {"production", good + demo, "is the demo's"},
		"good":                   {"production", good, ""},
		"not a key":              {"development", "hunter2hunter2", "key 1 is not a PEM block"},
		"half a key":             {"development", good + "hunter2hunter2", "key 2 is not a PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := []string{"APP_ENV=" + tc.env, "USER_TOKEN_KEY=" + tc.key, "DB_PASSWORD=p", "REDIS_PASSWORD=p",
				"SERVICE_SECRET=0123456789abcdef0123456789abcdef"}
			_, err := env.Load[config.Config](environ, config.Defaults...)
			switch {
			case tc.problem == "" && err != nil:
				t.Error(err)
			case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), "USER_TOKEN_KEY") ||
				!strings.Contains(err.Error(), tc.problem) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v, want USER_TOKEN_KEY %s", err, tc.problem)
			}
		})
	}
}
