package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-troika/troika/pkg/env"
)

// servers are what the tests of a process use.
type servers struct {
	Postgres env.Secret `env:"TEST_POSTGRES_URL"`
	Redis    env.Secret `env:"TEST_REDIS_URL"`
}

func loadServers(t testing.TB) servers {
	t.Helper()
	// By name: so go test does not serve a result from its cache for other servers.
	s, err := env.Load[servers]([]string{
		"TEST_POSTGRES_URL=" + os.Getenv("TEST_POSTGRES_URL"), "TEST_REDIS_URL=" + os.Getenv("TEST_REDIS_URL"),
	})
	if err == nil && (s.Postgres.Reveal() == "" || s.Redis.Reveal() == "") {
		s, err = startServers()
	}
	if err != nil {
		t.Fatalf("TEST_POSTGRES_URL and TEST_REDIS_URL are not set, and servers of the tests' own do not start: %v", err)
	}
	return s
}

// startServers starts servers that end with this process, for a test that was
// started by hand or from an editor.
var startServers = sync.OnceValues(func() (servers, error) {
	work, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return servers{}, fmt.Errorf("go env: %w", err)
	}
	cmd := exec.Command("go", "run", "./tools/stack", "infra", "--detach", "--world", "local", "--name", fmt.Sprintf("test-%d", os.Getpid()))
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(work)))
	cmd.Env = append(os.Environ(), fmt.Sprintf("STACK_END_WITH=/proc/%d", os.Getpid()), "CGO_ENABLED=0")
	var mistakes strings.Builder
	cmd.Stderr = &mistakes
	out, err := cmd.Output()
	if err != nil {
		return servers{}, fmt.Errorf("stack infra: %w: %s", err, mistakes.String())
	}
	var environ []string
	for line := range strings.Lines(string(out)) {
		if set, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			environ = append(environ, strings.ReplaceAll(set, "'", ""))
		}
	}
	return env.Load[servers](environ)
})
