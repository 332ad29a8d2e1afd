package main_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// binary is the driver, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stack-test")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "stack")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile does
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// result is how an invocation ended.
type result struct {
	out, err string
	code     int
}

// drive runs the driver to its end with further variables.
func drive(t *testing.T, variables []string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	cmd := command(t, variables, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func command(t *testing.T, variables []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "STACK_WORLD=local", "SERVICE_SECRET=", "SERVICE_SECRETS=", "STACK_NAME=")
	cmd.Env = append(cmd.Env, variables...)
	return cmd
}

func newName() string { return "t-" + strings.ToLower(rand.Text()[:8]) }

// infra runs Postgres and Redis in the foreground and returns the driver's process and
// the stack's status.
func infra(t *testing.T) (*exec.Cmd, stack.Status) {
	t.Helper()
	name := newName()
	cmd := command(t, nil, "infra", "--name", name)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(errs.String())
		}
	})
	var status stack.Status
	eventually(t, "the stack is ready", func() bool {
		r := drive(t, nil, "status", "--json", "--name", name)
		return json.Unmarshal([]byte(r.out), &status) == nil && status.Ready
	})
	return cmd, status
}

// eventually polls until ok, at most a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

// pids are the stack's servers and all their children.
func pids(status stack.Status) []int {
	var all []int
	for _, p := range status.Parts {
		all = append(all, process.Tree(p.PID)...)
	}
	return all
}

// gone waits until no process and no folder of the stack is left.
func gone(t *testing.T, status stack.Status, pids []int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, "every process is gone", func() bool { return !process.Alive(pid) })
	}
	eventually(t, "the folder is gone", func() bool {
		left, err := filepath.Glob(status.Dir + "*")
		return err == nil && left == nil
	})
}

func TestKilledStackLeavesNothing(t *testing.T) {
	t.Parallel()
	cmd, status := infra(t)
	all := pids(status)
	if len(all) < 5 {
		t.Fatalf("processes %v, want Redis and Postgres with its children", all)
	}
	if r := drive(t, nil, "chaos", "pause", "postgres", "--name", status.Name); r.code != 0 {
		t.Fatal(r)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, status, all)
}

// The next stack of the name waits until the reaper of the killed one has done its work.
func TestStackStartsAgainAfterAKill(t *testing.T) {
	t.Parallel()
	cmd, status := infra(t)
	all := pids(status)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_, again, started := detach(t, status.Name)
	for _, pid := range all {
		if process.Alive(pid) {
			t.Errorf("process %d of the killed stack runs beside the next one", pid)
		}
	}
	if r := drive(t, nil, "down", "--name", status.Name); r.code != 0 {
		t.Errorf("down: %+v", r)
	}
	gone(t, again, started)
}

func TestInterruptStopsEverything(t *testing.T) {
	t.Parallel()
	cmd, status := infra(t)
	all := pids(status)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error("the driver ends with", err)
	}
	gone(t, status, all)
}

func TestChaos(t *testing.T) {
	t.Parallel()
	_, status := infra(t)
	chaos := func(verb, name string) {
		t.Helper()
		if r := drive(t, nil, "chaos", verb, name, "--name", status.Name); r.code != 0 {
			t.Fatalf("chaos %s %s: %+v", verb, name, r)
		}
	}
	expect := func(name, state string) stack.Part {
		t.Helper()
		var now stack.Status
		r := drive(t, nil, "status", "--json", "--name", status.Name)
		if err := json.Unmarshal([]byte(r.out), &now); err != nil {
			t.Fatal(err)
		}
		parts, err := now.Named(name)
		if err != nil || parts[0].State != state {
			t.Fatalf("%s: %+v, %v, want it %s", name, parts, err, state)
		}
		return parts[0]
	}
	for _, name := range []string{"redis", "postgres"} {
		before := expect(name, stack.Ready)
		chaos(stack.Pause, name)
		expect(name, stack.Paused)
		chaos(stack.Resume, name)
		expect(name, stack.Ready)
		chaos(stack.Kill, name)
		expect(name, stack.Exited)
		if r := drive(t, nil, "chaos", "kill", name, "--name", status.Name); r.code != 1 {
			t.Errorf("killing what is dead: %+v", r)
		}
		chaos(stack.Start, name)
		if after := expect(name, stack.Ready); after.Port != before.Port || after.PID == before.PID {
			t.Errorf("%s came back as %+v, was %+v", name, after, before)
		}
		chaos(stack.Stop, name)
		expect(name, stack.Exited)
		chaos(stack.Start, name)
		expect(name, stack.Ready)
	}
	r := drive(t, nil, "chaos", "kill", "nobody", "--name", status.Name)
	if r.code != 1 || !strings.Contains(r.err, "redis, postgres") {
		t.Errorf("chaos on nobody: %+v", r)
	}
	r = drive(t, nil, "logs", "redis", "--name", status.Name)
	if !strings.Contains(r.out, "Ready to accept connections") {
		t.Errorf("logs: %+v", r)
	}
}

// detach starts Postgres and Redis in the background and returns what that printed,
// the stack's status and the processes.
func detach(t *testing.T, name string, variables ...string) (result, stack.Status, []int) {
	t.Helper()
	up := drive(t, variables, "infra", "--detach", "--name", name)
	if up.code != 0 {
		t.Fatalf("infra --detach: %+v", up)
	}
	var status stack.Status
	if err := json.Unmarshal([]byte(drive(t, nil, "status", "--json", "--name", name).out), &status); err != nil {
		t.Fatal(err)
	}
	return up, status, pids(status)
}

func TestDetachAndDown(t *testing.T) {
	t.Parallel()
	name := newName()
	up, status, all := detach(t, name)
	for _, want := range []string{"export TEST_POSTGRES_URL='postgres://", "export TEST_REDIS_URL='redis://"} {
		if !strings.Contains(up.out, want) {
			t.Errorf("infra --detach does not print %s: %+v", want, up)
		}
	}
	if r := drive(t, nil, "infra", "--name", name); r.code != 1 || !strings.Contains(r.err, "is up already") {
		t.Errorf("a second stack of that name: %+v", r)
	}
	if r := drive(t, nil, "down", "--name", name); r.code != 0 {
		t.Errorf("down: %+v", r)
	}
	gone(t, status, all)
	if r := drive(t, nil, "down", "--name", name); r.code != 0 || !strings.Contains(r.out, "nothing is up") {
		t.Errorf("down twice: %+v", r)
	}
	for range 5 { // a stack of the same name has its own control socket
		detach(t, name)
		if r := drive(t, nil, "down", "--name", name); r.code != 0 || strings.Contains(r.out, "nothing is up") {
			t.Fatalf("down: %+v", r)
		}
	}
}

// What a test run leaves in the background ends with the test run.
func TestDetachedStackEndsWithItsGuardian(t *testing.T) {
	t.Parallel()
	guardian := t.TempDir()
	_, status, all := detach(t, newName(), "STACK_END_WITH="+guardian)
	if err := os.Remove(guardian); err != nil {
		t.Fatal(err)
	}
	gone(t, status, all)
}

func TestMissingPartsAreListed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"infra"}, {"infra", "--detach"}, {"test", "--short"}} {
		variables := []string{"PG_BINDIR=/nonexistent", "STACK_NO_INSTALL=1", "STACK_NAME=" + newName(), "TEST_REDIS_URL="}
		r := drive(t, variables, args...)
		for _, want := range []string{"no postgres in PG_BINDIR=/nonexistent", "brew install"} {
			if r.code != 1 || !strings.Contains(r.out+r.err, want) {
				t.Errorf("%v: %+v, want %s", args, r, want)
			}
		}
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"launch", "up --sideways", "up --scale", "up --scale user-service=none", "up --scale nobody=2",
		"up --ports some", "up --redis-via nowhere --world local", "up --redis-via :1 --world docker",
		"status now", "chaos kill", "chaos slap redis", "logs a b", "console now", "console --listen 8090",
		"console --service user-service", "console --service User=http://a:1,http://a:2", "console --receiver x",
		"console --forward jaeger:4318", "token", "login", "levels", "levels user-service info pkg/events",
		"load --clients 0", "load --duration 1ms", "load --rate -1", "load now", "seed --users 0", "seed --number -1", "down --world mars", "status --name No!",
	} {
		r := drive(t, nil, strings.Fields(line)...)
		if r.code != 2 || r.err == "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("stack %s: %+v, want one line and exit code 2", line, r)
		}
	}
	if r := drive(t, nil, "help"); r.code != 0 || !strings.Contains(r.out, "chaos kill|stop|pause|resume|start NAME") {
		t.Errorf("help: %+v", r)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	const own = "a-secret-of-at-least-thirty-two-bytes"
	for _, test := range []struct {
		variables []string
		secret    string
	}{
		{nil, serviceauth.DemoSecret},
		{[]string{"SERVICE_SECRET=" + own}, own},
	} {
		r := drive(t, test.variables, "token", "--service", "gateway", "--audience", "user-service")
		keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(test.secret)}, "gateway", "development")
		if err != nil {
			t.Fatal(err)
		}
		header := map[string][]string{serviceauth.Header: {strings.TrimSpace(r.out)}}
		caller, err := serviceauth.NewVerifier(keys, "user-service").Verify(header)
		if r.code != 0 || err != nil || caller != "gateway" {
			t.Errorf("token %+v: caller %q, %v", r, caller, err)
		}
	}
	if r := drive(t, []string{"APP_ENV=production"}, "token", "--audience", "user-service"); r.code == 0 {
		t.Errorf("the demo's secret signs in production: %+v", r)
	}
}
