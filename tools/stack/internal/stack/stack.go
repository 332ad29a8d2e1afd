// Package stack describes a running stack, whether its parts are processes or containers.
package stack

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
)

// Values of --world.
const (
	Auto   = "auto"
	Local  = "local"
	Docker = "docker"
)

// States of a part.
const (
	Starting = "starting"
	Ready    = "ready"
	Paused   = "paused"
	Exited   = "exited"
)

// Verbs of Chaos.
const (
	Kill   = "kill"   // SIGKILL
	Stop   = "stop"   // SIGTERM, and wait for the end
	Pause  = "pause"  // SIGSTOP, or the freezer
	Resume = "resume" // undo Pause
	Start  = "start"  // start what has ended, and wait until it is ready
)

// Verbs lists the verbs of Chaos.
var Verbs = []string{Kill, Stop, Pause, Resume, Start}

// Options configures a stack to start.
type Options struct {
	Name      string // keeps stacks of one checkout apart
	Root      string // the checkout
	Services  []checkout.Service
	Scale     map[string]int  // replicas by service; default 1
	FreePorts bool            // services take any free ports, not their own
	RedisVia  string          // host:port of a proxy between the services and Redis, or ""; not with containers
	Secure    bool            // as deploy/production.yml: a key for each service, Redis with TLS and users; not with containers
	Environ   machine.Environ // of the caller; services get it too
	Progress  io.Writer
}

// Handle is access to a running stack.
type Handle interface {
	Status(ctx context.Context) (Status, error)
	// Chaos applies a verb to the parts that name means and returns when it has taken effect.
	Chaos(ctx context.Context, verb, name string) error
	// Logs writes the output of the named part, or of all for "", and goes on
	// until ctx ends if follow is set.
	Logs(ctx context.Context, out io.Writer, follow bool, name string) error
	// Down stops everything and removes what the stack stored.
	Down(ctx context.Context) error
}

// Status is a stack at one moment.
type Status struct {
	Name  string `json:"name"`
	World string `json:"world"`
	Ready bool   `json:"ready"` // every part has become ready
	Dir   string `json:"dir,omitempty"`
	Parts []Part `json:"parts"`
	// Traces is the base URL of the OTLP/HTTP receiver that the services send spans to, "" for none.
	Traces string `json:"traces,omitempty"`
}

// Part is one server of a stack: a process or a container.
type Part struct {
	Name      string `json:"name"`    // user-service-2
	Service   string `json:"service"` // user-service
	State     string `json:"state"`
	Detail    string `json:"detail,omitempty"` // how it ended, or its version
	PID       int    `json:"pid,omitempty"`
	Port      int    `json:"port,omitempty"` // on this machine; 0 if not published
	AdminPort int    `json:"adminPort,omitempty"`
	URL       string `json:"url,omitempty"`
	RSS       int64  `json:"rssBytes,omitempty"`
	UptimeMS  int64  `json:"uptimeMs,omitempty"`
	ReadyMS   int64  `json:"readyMs,omitempty"` // from its start to its first readiness
	Container string `json:"-"`                 // its ID, if it is one
}

// Is reports whether name means this part: its own name, its service's name, or
// "postgres" for a service's own database.
func (p Part) Is(name string) bool {
	return name == p.Name || name == p.Service || name == "postgres" && strings.HasSuffix(p.Service, "-db")
}

// TestVariable returns the variable in which tests expect the URL of Postgres or Redis.
func (p Part) TestVariable() string { return "TEST_" + strings.ToUpper(p.Name) + "_URL" }

// Announce writes a line about a part that is ready.
func (p Part) Announce(out io.Writer) {
	fmt.Fprintf(out, "%-20s port %-6s ready in %-6s %s\n", p.Name, orDash(p.Port), millis(p.ReadyMS), p.Detail)
}

// Named returns the parts that name means, or an error that lists the names.
func (s Status) Named(name string) ([]Part, error) {
	var found []Part
	var names []string
	for _, p := range s.Parts {
		if p.Is(name) {
			found = append(found, p)
		}
		names = append(names, p.Name)
	}
	if found == nil {
		return nil, fmt.Errorf("no part named %q; there are: %s", name, strings.Join(names, ", "))
	}
	return found, nil
}

// Running reports whether any part runs.
func (s Status) Running() bool {
	return slices.ContainsFunc(s.Parts, func(p Part) bool { return p.PID > 0 })
}

// Print writes the status as a table.
func (s Status) Print(out io.Writer) {
	fmt.Fprintf(out, "stack %s, %s\n", s.Name, Describe(s.World))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tSTATE\tPID\tPORT\tMEMORY\tUPTIME\tREADY IN\t")
	for _, p := range s.Parts {
		memory := "-"
		if p.RSS > 0 {
			memory = fmt.Sprintf("%.1f MiB", float64(p.RSS)/(1<<20))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, orDash(p.PID), orDash(p.Port),
			memory, millis(p.UptimeMS), millis(p.ReadyMS), p.Detail)
	}
	_ = table.Flush()
}

// Describe returns a value of --world in words.
func Describe(world string) string {
	if world == Docker {
		return "Docker containers"
	}
	return "local processes"
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func millis(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return Short(time.Duration(ms) * time.Millisecond)
}

// Short rounds a duration to three digits.
func Short(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}
