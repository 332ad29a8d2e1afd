package testkit

import (
	"errors"
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
	s, err := readServers()
	if err == nil && (s.Postgres.Reveal() == "" || s.Redis.Reveal() == "") {
		if err = startServers(); err == nil {
			s, err = readServers()
		}
	}
	if err != nil {
		t.Fatalf("TEST_POSTGRES_URL and TEST_REDIS_URL do not lead to servers, and none of the tests' own start: %v", err)
	}
	return s
}

// readServers asks for the variables by name: so go test does not serve a result from
// its cache for other servers.
func readServers() (servers, error) {
	return env.Load[servers]([]string{
		"TEST_POSTGRES_URL=" + os.Getenv("TEST_POSTGRES_URL"), "TEST_REDIS_URL=" + os.Getenv("TEST_REDIS_URL"),
	})
}

// startServers starts servers that end with this process, for a test that was started
// by hand or from an editor, and sets the variables: processes that a test starts use
// the same. How they learn of its end is Linux's; elsewhere the variables must be set.
var startServers = sync.OnceValue(func() error {
	work, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	if dir := strings.TrimSpace(string(work)); dir == "" || dir == "off" {
		return errors.New("outside of the workspace (GOWORK=off): set TEST_POSTGRES_URL and TEST_REDIS_URL")
	}
	process := fmt.Sprintf("/proc/%d", os.Getpid())
	if _, err := os.Stat(process); err != nil {
		return fmt.Errorf("start some with `bin/stack infra`: %w", err)
	}
	cmd := exec.Command("go", "run", "./tools/stack", "infra", "--detach", "--world", "local",
		"--name", fmt.Sprintf("test-%d", os.Getpid()))
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(work)))
	cmd.Env = append(os.Environ(), "STACK_END_WITH="+process, "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("stack infra: %w: %s", err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		set, _ := strings.CutPrefix(strings.TrimSpace(line), "export ")
		if name, url, ok := strings.Cut(strings.ReplaceAll(set, "'", ""), "="); ok {
			if err := os.Setenv(name, url); err != nil {
				return err
			}
		}
	}
	return nil
})
