package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/tools/stack/internal/process"
)

// The test binary is the tests, the reaper, and an owner that a test kills.
func TestMain(m *testing.M) {
	process.ReapIfReaper()
	if dir := os.Getenv("PROCESS_TEST_OWNS"); dir != "" {
		own(dir)
	}
	goleak.VerifyTestMain(m)
}

// own starts two programs, one of which ignores SIGTERM and has a child in
// another process group, writes their pids to dir/pids and never ends.
func own(dir string) {
	s, err := process.NewSupervisor(nil)
	if err != nil {
		panic(err)
	}
	s.RunOnExit("touch", dir+".ran")
	s.RunOnExit("touch", dir+".canceled")
	s.CancelRun("touch", dir+".canceled")
	s.RunOnExit("rm", "-rf", dir)
	var pids string
	for _, script := range []string{"sleep 600", "trap '' TERM; set -m; sleep 601 & wait"} {
		p, err := s.Start(exec.Command("sh", "-c", script), syscall.SIGKILL)
		if err != nil {
			panic(err)
		}
		for len(process.Tree(p.Pid)) < 2 && strings.Contains(script, "set -m") {
			<-time.After(time.Millisecond)
		}
		for _, pid := range process.Tree(p.Pid) {
			pids += fmt.Sprintln(pid)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pids.new"), []byte(pids), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(filepath.Join(dir, "pids.new"), filepath.Join(dir, "pids")); err != nil {
		panic(err)
	}
	select {}
}

func setup(t *testing.T) *process.Supervisor {
	t.Helper()
	s, err := process.NewSupervisor(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually polls until ok, at most 20 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s: " + what)
		}
	}
}

func TestKilledOwnerLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command(self)
	owner.Env = append(os.Environ(), "PROCESS_TEST_OWNS="+dir)
	owner.Stderr = os.Stderr
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	eventually(t, "the owner has started its programs", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pids"))
		for line := range strings.Lines(string(text)) {
			pid, _ := strconv.Atoi(strings.TrimSpace(line))
			pids = append(pids, pid)
		}
		return err == nil
	})
	if len(pids) < 3 {
		t.Fatalf("started %v, want at least three processes", pids)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool { return !process.Alive(pid) })
	}
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := os.Stat(dir + ".ran"); err != nil {
		t.Error("the command to run at death did not run:", err)
	}
	if _, err := os.Stat(dir + ".canceled"); err == nil {
		t.Error("a canceled command ran")
	}
}

func TestCloseRunsWhatIsNotCanceled(t *testing.T) {
	t.Parallel()
	s, err := process.NewSupervisor(nil)
	if err != nil {
		t.Fatal(err)
	}
	kept, removed := t.TempDir(), t.TempDir()
	for _, path := range []string{kept, removed} {
		s.RunOnExit("rm", "-rf", path)
	}
	s.CancelRun("rm", "-rf", kept)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(removed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v, want that it is gone", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	s := setup(t)
	cmd := exec.Command("sh", "-c", "echo oops; exit 3")
	var out strings.Builder
	cmd.Stdout = &out
	err := s.Run(t.Context(), cmd)
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "oops\n" {
		t.Errorf("Run: %v, printed %q, want exit status 3 and oops", err, out.String())
	}
	if _, err := s.Start(exec.Command("/nonexistent"), syscall.SIGKILL); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start of what is not there: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := s.Run(ctx, exec.Command("sleep", "600")); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want that it was canceled", err)
	}
}

func TestPausedProgramStops(t *testing.T) {
	t.Parallel()
	p, err := setup(t).Start(exec.Command("sleep", "600"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SignalTree(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.Stop(syscall.SIGTERM, time.Minute)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("stopped after %s: it did not hear SIGTERM", took)
	}
	if got := p.Outcome(); got != "signal: terminated" {
		t.Errorf("outcome %q", got)
	}
	if p.Signal(syscall.SIGTERM) == nil || p.SignalTree(syscall.SIGTERM) == nil {
		t.Error("a signal to what has ended succeeds")
	}
}

func TestStopKillsAfterItsGrace(t *testing.T) {
	t.Parallel()
	var ready readiness = make(chan struct{})
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo; while :; do sleep 600; done")
	cmd.Stdout = ready
	p, err := setup(t).Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	<-ready
	p.Stop(syscall.SIGTERM, 50*time.Millisecond)
	if got := p.Outcome(); got != "signal: killed" {
		t.Errorf("outcome %q", got)
	}
}

// readiness is closed by the first write.
type readiness chan struct{}

func (r readiness) Write(b []byte) (int, error) {
	close(r)
	return len(b), nil
}

func TestMemory(t *testing.T) {
	t.Parallel()
	if got := process.Memory(os.Getpid()); got < 1<<20 || got > 1<<34 {
		t.Errorf("this process takes %d bytes", got)
	}
	if !process.Alive(os.Getpid()) || process.Alive(1<<30) {
		t.Error("Alive is wrong")
	}
}
