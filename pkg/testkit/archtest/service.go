package archtest

import (
	"path/filepath"
	"testing"
)

// Service fails t unless the service in dir has its six packages, each imports only
// those below it, and what belongs in one is in no other.
func Service(t testing.TB, dir string) {
	t.Helper()
	for _, name := range []string{"config", "routes", "middleware", "controllers", "services", "models"} {
		if files, err := filepath.Glob(filepath.Join(dir, "internal", name, "*.go")); err != nil || len(files) == 0 {
			t.Errorf("internal/%s: is missing", name)
		}
	}
	Check(t, dir,
		Tiers(
			[]string{"internal/config", "internal/models"},
			[]string{"internal/services"},
			[]string{"internal/middleware"},
			[]string{"internal/controllers"},
			[]string{"internal/routes"},
		),
		Only(Import("github.com/gin-gonic/gin"), "internal/routes", "internal/controllers", "internal/middleware"),
		Only(Tag("gorm"), "internal/models"),
		Never(Tag("json"), "internal/models"),
		Only(Tag("env"), "internal/config"),
		Only(Use("os.Getenv")),
		Only(Use("os.LookupEnv")),
		Only(Goroutine),
		Only(Panic),
		Only(Init),
	)
}
