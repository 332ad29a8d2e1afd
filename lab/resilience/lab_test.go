package resilience_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/lab/resilience"
)

// TestRowSaysWhatWasMissed: what the lab reports is only as good as its verdicts.
func TestRowSaysWhatWasMissed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		add    func(r *resilience.Row)
		held   bool
		broken int
	}{
		"all well":              {func(r *resilience.Row) { r.Within("back after", time.Second, time.Second, time.Minute) }, true, 0},
		"late, but bearable":    {func(r *resilience.Row) { r.Within("back after", 2*time.Second, time.Second, time.Minute) }, false, 0},
		"far too late":          {func(r *resilience.Row) { r.Within("back after", time.Hour, time.Second, time.Minute) }, false, 1},
		"too little":            {func(r *resilience.Row) { r.AtLeast("share", 0.7, 0.8, 0.5) }, false, 0},
		"far too much":          {func(r *resilience.Row) { r.AtMost("share", 1.7, 1.2, 1.5) }, false, 1},
		"not so":                {func(r *resilience.Row) { r.Holds(false, "%d orders", 2) }, false, 1},
		"a call failed":         {func(r *resilience.Row) { r.Count("orders", fails(3)) }, false, 1},
		"nobody called":         {func(r *resilience.Row) { r.Count("orders", resilience.Tally{}) }, false, 1},
		"the test did not end":  {func(r *resilience.Row) { r.Ended = false }, false, 0},
		"a figure has no bound": {func(r *resilience.Row) { r.Figure("%d/s", 7) }, true, 0},
	} {
		row := &resilience.Row{Fault: name, Ended: true}
		c.add(row)
		if row.Held() != c.held || len(row.Broken()) != c.broken {
			t.Errorf("%s: held %t, broken %q; want %t, %d", name, row.Held(), row.Broken(), c.held, c.broken)
		}
		if want := map[bool]string{true: "1 of 1", false: "0 of 1"}[c.held]; !strings.Contains(resilience.Summary([]*resilience.Row{row}), want) {
			t.Errorf("%s: %s, want %s", name, resilience.Summary([]*resilience.Row{row}), want)
		}
	}
}

func fails(n int) resilience.Tally {
	return resilience.AtOnce(n, func(i int) error {
		if i == 0 {
			return errors.New("refused")
		}
		return nil
	})
}

func TestTableGoesBetweenItsMarkers(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n<!-- chaos -->\nold\n<!-- /chaos -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := resilience.Table([]*resilience.Row{{Fault: "kill -9", Test: "TestKilled", Source: "one_test.go", Calls: 7}})
	if err := resilience.Write(page, table); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n<!-- chaos -->", "| kill -9 | 7 | 0 |", "[TestKilled](../lab/resilience/one_test.go)", "<!-- /chaos -->\nafter\n"} {
		if !strings.Contains(string(text), want) || strings.Contains(string(text), "old") {
			t.Errorf("page lacks %q, or keeps what was there:\n%s", want, text)
		}
	}
	if err := os.WriteFile(page, []byte("no markers"), 0o600); err != nil {
		t.Fatal(err)
	}
	if resilience.Write(page, table) == nil {
		t.Error("a page without markers was written")
	}
}

func TestRelayPassesOnLate(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(conn, conn)
		conn.Close()
	}()
	relay, err := resilience.NewRelay()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", relay.Addr()) // before the target is known
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	relay.Target(echo.Addr().String())
	const late = 50 * time.Millisecond
	relay.Delay(late)
	began := time.Now()
	if _, err := conn.Write([]byte("mush")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "mush" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if took := time.Since(began); took < late {
		t.Errorf("answered after %v, want at least %v", took, late)
	}
	if err := relay.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(answer); err == nil {
		t.Error("the connection outlives the relay")
	}
}
