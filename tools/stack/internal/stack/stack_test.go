package stack_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/tools/stack/internal/stack"
)

var status = stack.Status{
	Name: "troika", World: stack.Local, Ready: true,
	Parts: []stack.Part{
		{Name: "postgres", Service: "postgres", State: stack.Ready, Detail: "PostgreSQL 17.1", PID: 1, Port: 20001,
			RSS: 30 << 20, UptimeMS: 61_000, ReadyMS: 80},
		{Name: "user-service-1", Service: "user-service", State: stack.Exited, Detail: "signal: killed", Port: 8081},
		{Name: "user-service-2", Service: "user-service", State: stack.Paused, PID: 3, Port: 20002},
		{Name: "order-service-db", Service: "order-service-db", State: stack.Ready},
	},
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"user-service":   "user-service-1 user-service-2",
		"user-service-2": "user-service-2",
		"postgres":       "postgres order-service-db",
	} {
		parts, err := status.Named(name)
		var names []string
		for _, p := range parts {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
	if _, err := status.Named("user"); err == nil || !strings.Contains(err.Error(), "user-service-1, user-service-2") {
		t.Errorf("Named: %v, want the names there are", err)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	status.Print(&out)
	want := `stack troika, local processes
PART              STATE   PID  PORT   MEMORY    UPTIME  READY IN  
postgres          ready   1    20001  30.0 MiB  1m1s    80ms      PostgreSQL 17.1
user-service-1    exited  -    8081   -         -       -         signal: killed
user-service-2    paused  3    20002  -         -       -         
order-service-db  ready   -    -      -         -       -         
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"183µs": 183 * time.Microsecond, "1.34ms": 1342 * time.Microsecond, "83ms": 83*time.Millisecond + 4*time.Microsecond,
		"2.1s": 2100 * time.Millisecond, "2m3s": 123400 * time.Millisecond,
	} {
		if got := stack.Short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
