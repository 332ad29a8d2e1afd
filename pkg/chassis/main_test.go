package chassis_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/testkit"
)

// command runs this binary as the service.
func command(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(environ, asService)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestFiveMistakesAreFiveLines(t *testing.T) {
	t.Parallel()
	_, stderr, code := command(t, []string{
		"PORT=many", "DB_POOL_MAX=0", "REGISTRY=carrier-pigeon", "LOG_LEVEL=loud", "DB_USER=x", "SERVICE_SECRET=short", "APP_ENV=production",
		"REDIS_PASSWORD=x",
	})
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != 2 || len(lines) != 5 {
		t.Errorf("exit %d, %d lines:\n%s", code, len(lines), stderr)
	}
	if strings.Contains(stderr, "short\n") || strings.Contains(stderr, "\"short\"") {
		t.Errorf("shows the secret:\n%s", stderr)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"version"}, 0, "go1."},
		{[]string{"help"}, 0, "usage:"},
		{[]string{"fly"}, 2, `"fly"`},
		{[]string{"version", "please"}, 2, "no arguments"},
		{[]string{"migrate"}, 2, "DB_USER"},
	} {
		stdout, stderr, code := command(t, nil, c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%v: exit %d, %s%s", c.args, code, stdout, stderr)
		}
	}
}

func TestHealthFailsWhereNothingListens(t *testing.T) {
	t.Parallel()
	if _, stderr, code := command(t, environ(t, "PORT=1"), "health"); code != 1 || stderr == "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// The first SIGTERM drains; a second one does not wait for it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(s.environ, "DRAIN_DELAY=10s", asService)
	log := &journal{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"service started", "draining"} {
		testkit.Eventually(t, 20*time.Second, func() string {
			if !log.contains(line) {
				return "no line " + line
			}
			return ""
		})
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM || time.Since(began) > 5*time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(began))
	}
}

// libpq's variables do not decide which database is used, or how.
func TestVariablesOfLibpqAreNotRead(t *testing.T) {
	t.Parallel()
	s := newService(t)
	environ := append(s.environ, "PGOPTIONS=-c default_transaction_read_only=on", "PGSERVICE=nowhere",
		"PGTARGETSESSIONATTRS=standby", "PGSSLMODE=verify-full", "PGHOST=192.0.2.1")
	if _, stderr, code := command(t, environ, "migrate"); code != 0 {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
