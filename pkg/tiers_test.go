package pkg_test

import (
	"testing"

	"github.com/go-troika/troika/pkg/testkit/archtest"
)

// TestTiers keeps the direction of imports: a package knows only those of lower
// tiers. See docs/architecture.md.
func TestTiers(t *testing.T) {
	t.Parallel()
	archtest.Check(t, ".",
		archtest.Tiers(
			[]string{"env", "fault", "openapi", "jws", "text", "tracing", "breaker", "metrics"},
			[]string{"logging", "database", "serviceauth", "userauth", "registry"},
			[]string{"events", "idempotency"},
			[]string{"events/relay", "events/consumer", "events/admin"},
			[]string{"events/postgres"},
			[]string{"httpserver", "serviceclient"},
			[]string{"events/httpapi"},
			[]string{"testkit", "testkit/archtest", "chassis"},
			[]string{"testkit/apitest"},
		),
		archtest.Only(archtest.Import("github.com/gin-gonic/gin"), "httpserver", "events/httpapi"),
		archtest.Only(archtest.Tag("gorm")),
		archtest.Only(archtest.Tag("env"), "env", "tracing", "logging", "database", "serviceauth", "registry", "events", "idempotency", "httpserver", "breaker", "chassis", "testkit"),
		archtest.Only(archtest.Use("os.Getenv"), "testkit"),
		archtest.Only(archtest.Use("os.LookupEnv")),
		archtest.Only(archtest.Init),
	)
}
