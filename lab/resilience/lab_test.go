package resilience_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/lab/resilience"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestRowMarksMissedTargets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		add    func(r *resilience.Row)
		held   bool
		broken int
	}{
		"all well": {func(r *resilience.Row) { r.Within("back after", time.Second, time.Second, time.Minute) },
			true, 0},
		"late, but tolerable": {func(r *resilience.Row) {
			r.Within("back after", 2*time.Second, time.Second,
				time.Minute)
		}, false, 0},
		"far too late": {func(r *resilience.Row) { r.Within("back after", time.Hour, time.Second, time.Minute) },
			false, 1},
		"too little":            {func(r *resilience.Row) { r.AtLeast("share", 0.7, 0.8, 0.5) }, false, 0},
		"far too much":          {func(r *resilience.Row) { r.AtMost("share", 1.7, 1.2, 1.5) }, false, 1},
		"not so":                {func(r *resilience.Row) { r.Holds(false, "%d orders", 2) }, false, 1},
		"a call failed":         {func(r *resilience.Row) { r.Count("orders", fails(3)) }, false, 1},
		"no call at all":        {func(r *resilience.Row) { r.Count("orders", resilience.Counts{}) }, false, 1},
		"the test did not end":  {func(r *resilience.Row) { r.Ended = false }, false, 0},
		"a result has no bound": {func(r *resilience.Row) { r.Measured("%d/s", 7) }, true, 0},
	} {
		row := &resilience.Row{Fault: name, Ended: true}
		c.add(row)
		if row.Held() != c.held || len(row.Broken()) != c.broken {
			t.Errorf("%s: held %t, broken %q; want %t, %d", name, row.Held(), row.Broken(), c.held, c.broken)
		}
		want := map[bool]string{true: "1 of 1", false: "0 of 1"}[c.held]
		if !strings.Contains(resilience.Summary([]*resilience.Row{row}), want) {
			t.Errorf("%s: %s, want %s", name, resilience.Summary([]*resilience.Row{row}), want)
		}
	}
}

func fails(n int) resilience.Counts {
	return resilience.AtOnce(n, func(i int) error {
		if i == 0 {
			return errors.New("refused")
		}
		return nil
	})
}

func TestTableLinksTheTests(t *testing.T) {
	t.Parallel()
	table := resilience.Table([]*resilience.Row{{Fault: "kill -9", Test: "TestKilled", Source: "one_test.go", Calls: 7}})
	for _, want := range []string{"| kill -9 | 7 | 0 |", "[TestKilled](../lab/resilience/one_test.go)"} {
		if !strings.Contains(table, want) {
			t.Errorf("table lacks %q:\n%s", want, table)
		}
	}
}

func TestProxyDelaysWhatClientsSend(t *testing.T) {
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
	proxy, err := testkit.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	proxy.SetTarget(echo.Addr().String())
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const delay = 50 * time.Millisecond
	proxy.Delay(delay)
	began := time.Now()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ping" {
		t.Errorf("got %q, %v", answer, err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("took %v, want at least %v", took, delay)
	}
	proxy.Close()
	if _, err := conn.Read(answer); err == nil {
		t.Error("the connection outlives the proxy")
	}
}
