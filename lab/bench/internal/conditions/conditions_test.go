package conditions_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/conditions"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stat = "4242 (a (b) c) S 17 4242 4242 0 -1 4194560 2000 0 3 0 150 50 7 9 20 0 12 0 5000 1000 200"

func TestParseProcess(t *testing.T) {
	t.Parallel()
	name, parent, ticks, ok := conditions.ParseProcess(stat)
	if name != "a (b) c" || parent != 17 || ticks != 200 || !ok {
		t.Errorf("got %q, parent %d, %d ticks, %v", name, parent, ticks, ok)
	}
	for _, malformed := range []string{"", "1 x S 1", "1 (x", "1 )x( S 1", "1 (x) S 1 2 3", strings.Replace(stat, "150", "many", 1)} {
		if _, _, _, ok := conditions.ParseProcess(malformed); ok {
			t.Errorf("%q was accepted", malformed)
		}
	}
}

func FuzzParseProcess(f *testing.F) {
	f.Add(stat)
	f.Add("1 () S")
	f.Fuzz(func(t *testing.T, text string) {
		if name, _, _, ok := conditions.ParseProcess(text); ok && !strings.Contains(text, "("+name+")") {
			t.Errorf("name %q is not in parentheses", name)
		}
	})
}

func TestParseMachine(t *testing.T) {
	t.Parallel()
	busy, stolen, all := conditions.ParseMachine("cpu  10 20 30 400 50 6 7 8 9 0")
	if busy != 73 || stolen != 8 || all != 531 {
		t.Errorf("busy %d, stolen %d, all %d", busy, stolen, all)
	}
}

func TestWatchDescribesTheMachine(t *testing.T) {
	t.Parallel()
	if got := conditions.Begin().Stop(); !strings.Contains(got.Text, "processors") {
		t.Errorf("got %q", got.Text)
	}
}

func TestCPUGrowsWithWork(t *testing.T) {
	t.Parallel()
	before, ok := conditions.CPU(os.Getpid())
	if !ok {
		if runtime.GOOS == "linux" {
			t.Error("/proc was not understood")
		}
		return
	}
	for after := before; after == before; after, _ = conditions.CPU(os.Getpid()) {
	}
	if _, ok := conditions.CPU(-1); ok {
		t.Error("a process that does not exist has CPU time")
	}
}
