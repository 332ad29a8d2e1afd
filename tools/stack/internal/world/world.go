// Package world says what a running stack is, whether its parts are processes
// or containers.
package world

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Kinds of world.
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

// Verbs of chaos.
const (
	Kill   = "kill"   // SIGKILL
	Stop   = "stop"   // ask it to end, as a deployment does, and wait until it has
	Pause  = "pause"  // SIGSTOP, or the freezer
	Resume = "resume" // undo Pause
	Start  = "start"  // start what has ended, and wait until it is ready
)

// Verbs lists what Chaos understands.
var Verbs = []string{Kill, Stop, Pause, Resume, Start}

// Part is one server of a stack: a process or a container.
type Part struct {
	Name      string `json:"name"`    // user-service-2
	Service   string `json:"service"` // user-service
	State     string `json:"state"`
	Detail    string `json:"detail,omitempty"` // how it ended, or which version it is
	PID       int    `json:"pid,omitempty"`
	Port      int    `json:"port,omitempty"` // on this machine; 0 if not published
	AdminPort int    `json:"adminPort,omitempty"`
	URL       string `json:"url,omitempty"`
	RSS       int64  `json:"rssBytes,omitempty"`
	UptimeMS  int64  `json:"uptimeMs,omitempty"`
	ReadyMS   int64  `json:"readyMs,omitempty"` // from its start to its first readiness
}

// Is reports whether name means this part: its own name, its service's name, or
// "postgres" for a service's own database.
func (p Part) Is(name string) bool {
	return name == p.Name || name == p.Service || name == "postgres" && strings.HasSuffix(p.Service, "-db")
}

// Announce writes one line that says the part is ready.
func (p Part) Announce(out io.Writer) {
	fmt.Fprintf(out, "%-20s port %-6s ready in %-6s %s\n", p.Name, number(p.Port), Millis(p.ReadyMS), p.Detail)
}

// Status is a stack at one moment.
type Status struct {
	Name  string `json:"name"`
	World string `json:"world"`
	Ready bool   `json:"ready"` // every part has become ready
	Dir   string `json:"dir,omitempty"`
	Parts []Part `json:"parts"`
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

// World is a running stack.
type World interface {
	Status(ctx context.Context) (Status, error)
	Chaos(ctx context.Context, verb, name string) error
	// Logs writes the output of the named part, or of all for "", and goes on
	// until ctx ends if follow is set.
	Logs(ctx context.Context, out io.Writer, follow bool, name string) error
	// Down stops everything and removes what the stack stored.
	Down(ctx context.Context) error
}

// Print writes the status as a table.
func (s Status) Print(out io.Writer) {
	fmt.Fprintf(out, "stack %s, %s\n", s.Name, Describe(s.World))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tSTATE\tPID\tPORT\tMEMORY\tUPTIME\tREADY IN\t")
	for _, p := range s.Parts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, number(p.PID), number(p.Port),
			mebibytes(p.RSS), Millis(p.UptimeMS), Millis(p.ReadyMS), p.Detail)
	}
	_ = table.Flush()
}

// Describe says in words what a kind of world is.
func Describe(kind string) string {
	if kind == Docker {
		return "Docker containers"
	}
	return "local processes"
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Millis writes a number of milliseconds the way a person reads it.
func Millis(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return Short(time.Duration(ms) * time.Millisecond)
}

// Short writes a duration with about three digits.
func Short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
