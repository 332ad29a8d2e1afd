package pkg_test

import (
	"testing"

	"github.com/go-troika/troika/pkg/testkit/layout"
)

// TestTiers keeps the direction of imports: a package knows only those of lower
// tiers. See docs/architecture.md.
func TestTiers(t *testing.T) {
	t.Parallel()
	layout.Check(t, ".",
		layout.Tiers(
			[]string{"env", "fault", "text", "tracing", "breaker", "metrics"},
			[]string{"logging", "database", "serviceauth", "registry"},
			[]string{"events", "idempotency"},
			[]string{"events/relay", "events/consumer", "events/admin"},
			[]string{"httpserver", "serviceclient", "contracts"},
			[]string{"chassis", "testkit"},
		),
		layout.Only(layout.Import("github.com/gin-gonic/gin"), "httpserver", "chassis", "testkit/layout"),
		layout.Only(layout.Tag("gorm")),
		layout.Only(layout.Tag("env"), "env", "tracing", "logging", "database", "serviceauth", "registry", "events", "idempotency", "httpserver", "contracts", "chassis", "testkit"),
		layout.Only(layout.Use("os.Getenv"), "testkit"),
		layout.Only(layout.Use("os.LookupEnv")),
		layout.Only(layout.Init),
	)
}
