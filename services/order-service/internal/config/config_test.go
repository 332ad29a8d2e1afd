package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/services/order-service/internal/config"
)

var needed = []string{"DB_PASSWORD=one-of-ours", "SERVICE_SECRET=a-secret-of-thirty-two-bytes-or-more", "REDIS_PASSWORD=one-of-ours"}

func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		environ []string
		want    breaker.Config
	}{
		"default": {nil, breaker.Config{Failures: 3, Cooldown: 30 * time.Second}},
		"set":     {[]string{"BREAKER_FAILURES=5", "BREAKER_COOLDOWN=2s"}, breaker.Config{Failures: 5, Cooldown: 2 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := env.Load[config.Config](append(tc.environ, needed...), config.Defaults...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, cfg.Breaker, cmpopts.IgnoreFields(breaker.Config{}, "Classify")); diff != "" {
				t.Errorf("breaker (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	t.Parallel()
	environ := append([]string{"BREAKER_FAILURES=0", "BREAKER_COOLDOWN=1ms", "IDEMPOTENCY_RETENTION=1s", "PORT=http", "SERVICE_NAME=Order", "USER_SERVICE_URL=ftp://x"}, needed[0], needed[2])
	_, err := env.Load[config.Config](environ, config.Defaults...)
	var problems *env.Error
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want all problems", err)
	}
	var variables []string
	for _, m := range problems.Problems {
		variables = append(variables, m.Variable)
	}
	want := []string{"BREAKER_COOLDOWN", "BREAKER_FAILURES", "IDEMPOTENCY_RETENTION", "PORT", "SERVICE_NAME", "SERVICE_SECRET", "USER_SERVICE_URL"}
	if diff := cmp.Diff(want, variables); diff != "" || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("problems in %q (-want +got):\n%s", err, diff)
	}
}
