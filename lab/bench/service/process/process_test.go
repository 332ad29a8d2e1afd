package process_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/service/process"
)

// serveFlag has the test's own program serve as the process under test.
const serveFlag = "PROCESS_TEST_ADDR"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serveFlag); addr != "" {
		_ = http.ListenAndServe(addr, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		os.Exit(3)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"))
}

func TestMemoryIsReadFromTheRollup(t *testing.T) {
	t.Parallel()
	got := process.ParseMemory("00400000-7fff [rollup]\nRss:   27848 kB\nPss:   20000 kB\nPss_Dirty: 7 kB\nOdd\n")
	if got != (process.Memory{Resident: 27848 << 10, Proportional: 20000 << 10}) {
		t.Errorf("got %+v", got)
	}
	if got := process.ParseMemory("Rss: many kB\n"); got != (process.Memory{}) {
		t.Errorf("got %+v of what is no number", got)
	}
}

func TestProcessThatEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	_, err := process.Start(t.Context(), process.Spec{
		Name: "failing", Path: os.Args[0], Args: []string{"-test.unknown"}, URL: "http://127.0.0.1:1", Log: log,
	})
	if err == nil || !strings.Contains(err.Error(), "failing") || !strings.Contains(err.Error(), log) {
		t.Errorf("got %v, want the name and where it says why", err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "-test.unknown") {
		t.Errorf("log %q, error %v", text, err)
	}
}

func TestProcessTellsWhatItTakes(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	p, err := process.Start(t.Context(), process.Spec{
		Name: "own", Path: os.Args[0], Environ: []string{serveFlag + "=" + addr},
		URL: "http://" + addr, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Startup <= 0 || p.PID() == os.Getpid() {
		t.Errorf("start took %v, pid %d", p.Startup, p.PID())
	}
	if memory, err := p.Memory(); err != nil || memory.Resident < 1<<20 || memory.Proportional > memory.Resident {
		t.Errorf("memory %+v, error %v", memory, err)
	}
	if cpu, err := p.CPU(); err != nil || cpu < 0 {
		t.Errorf("CPU %v, error %v", cpu, err)
	}
	// It does not handle the signal, which is a bad end.
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "own") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err == nil {
		t.Error("a second stop found something to stop")
	}
}
