// Package command holds what the bench's commands have in common: their flags, and how
// they run and report measurements.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/report"
)

// Main runs a command until it ends or is interrupted; an error is exit code 1.
func Main(run func(ctx context.Context, args, environ []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Command is a run of measurements.
type Command struct {
	Markers  string // name the place of the table in the page
	Write    string // page to write to, "" for none
	Describe func(servers string) string
	Measure  func(ctx context.Context, s *servers.Servers, say func(report.Line)) (Result, error)
}

// Result is what was measured.
type Result struct {
	Lines []report.Line
	Notes []string // what does not fit into the table
}

// Add appends another result.
func (r *Result) Add(other Result) {
	r.Lines, r.Notes = append(r.Lines, other.Lines...), append(r.Notes, other.Notes...)
}

// RegisterWrite adds the flag -write.
func (c *Command) RegisterWrite(fs *flag.FlagSet) {
	fs.StringVar(&c.Write, "write", "", "put the table into this page, between the markers "+c.Markers)
}

// Run measures on the servers that environ names, prints each line as soon as it is
// known, and writes the page.
func (c *Command) Run(ctx context.Context, environ []string, out io.Writer) (err error) {
	s, err := servers.Open(ctx, environ)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	settings, err := s.Describe(ctx)
	if err != nil {
		return err
	}
	text := c.Describe(settings)
	fmt.Fprintf(out, "%s\n\n", text)
	began, load := time.Now(), report.LoadAverage()
	result, err := c.Measure(ctx, s, func(line report.Line) { fmt.Fprintln(out, line) })
	if err != nil {
		return err
	}
	notes := strings.Join(append(result.Notes, fmt.Sprintf(
		"The run took %v on %d processors, load average %s before and %s after.",
		time.Since(began).Round(time.Second), runtime.NumCPU(), load, report.LoadAverage())), " ")
	fmt.Fprintf(out, "\n%s\n", notes)
	if c.Write == "" {
		return nil
	}
	return report.Write(c.Write, c.Markers, text+"\n\n"+report.Table(result.Lines)+"\n"+notes)
}
