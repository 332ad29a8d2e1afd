package layout

import (
	"path/filepath"
	"testing"
)

// Rooms fails t unless the service in dir has its six rooms, each knows only
// those below it, and what belongs in one stands in no other.
func Rooms(t testing.TB, dir string) {
	t.Helper()
	for _, room := range []string{"config", "routes", "middleware", "controllers", "services", "models"} {
		if files, err := filepath.Glob(filepath.Join(dir, "internal", room, "*.go")); err != nil || len(files) == 0 {
			t.Errorf("internal/%s: is missing", room)
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
