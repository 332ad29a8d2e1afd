package durability_test

import (
	"crypto/rand"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/environment/processes"
	"github.com/go-troika/troika/lab/durability"
)

var (
	users    = flag.Int("users", 100, "users that are created at least while parts are killed")
	kills    = flag.Int("kills", 8, "parts that are killed")
	freezes  = flag.Int("freezes", 0, "instances that are frozen for 6 to 8 s between the kills")
	crashes  = flag.Int("crashes", 1, "crashes of Postgres")
	frozen   = flag.Duration("frozen", 7*time.Second, "how long the leading relay is stopped; takeover needs 2 s")
	outage   = flag.Duration("outage", 3*time.Second, "how long Redis is away, with its data and without")
	wipes    = flag.Int("wipes", 2, "FLUSHALLs, and as many replacements of Redis by an empty one")
	drops    = flag.Int("drops", 50, "sessions of user-service that are ended")
	replicas = flag.Int("replicas", 2, "instances of each service")
	seed     = flag.Uint64("seed", 0, "what is killed and when; 0 takes a new one")
)

// TestNothingIsLostWhateverIsKilled kills instances of user-service and
// profile service, Redis and Postgres at random moments under writers, stops the
// leading relay, takes Redis and its data away, and ends sessions.
func TestNothingIsLostWhateverIsKilled(t *testing.T) {
	processes.Uncached()
	cfg := durability.Config{
		Stack: os.Getenv("STACK_BIN"), Name: "lab-" + strings.ToLower(rand.Text()[:6]),
		Replicas: *replicas, Writers: 8, Seed: *seed,
		Users: *users, Kills: *kills, Freezes: *freezes, Crashes: *crashes, Frozen: *frozen,
		Outage: *outage, Wipes: *wipes, Drops: *drops,
	}
	if cfg.Seed == 0 {
		cfg.Seed = mathrand.Uint64()
	}
	began := time.Now()
	if err := durability.Run(t.Context(), cfg, out{t}); err != nil {
		t.Errorf("seed %d: %v", cfg.Seed, err)
	}
	t.Logf("took %v", time.Since(began).Round(time.Second))
}

// out writes to the test's log.
type out struct{ t *testing.T }

// Write implements io.Writer.
func (o out) Write(p []byte) (int, error) {
	o.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
