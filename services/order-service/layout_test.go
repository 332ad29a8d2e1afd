package main_test

import (
	"testing"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/testkit/archtest"
	"github.com/go-troika/troika/services/order-service/internal/config"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	archtest.Service(t, ".")
}

func TestEnvironmentIsDocumented(t *testing.T) {
	t.Parallel()
	archtest.Environment(t, ".env.example", func(environ []string) (config.Config, error) {
		return env.Load[config.Config](environ, config.Defaults...)
	})
}
