// Package session is what the bench's commands have in common: they open the lab,
// watch the machine while they measure, and write the figures down.
package session

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/conditions"
	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/pkg/env"
)

// Of a machine where others take more than this share of the time, figures are
// shown but not written down.
const quiet = 0.2

// Main runs a command until it ends or is interrupted; an error is exit code 1.
func Main(run func(ctx context.Context, args, environ []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Options are the flags of every command.
type Options struct {
	Write  string // page to write to, "" for none
	Busy   bool   // also what was measured on a busy machine
	Strict bool   // a missed target is an error
	marks  string
}

// Register adds the flags. marks names the place in the page.
func (o *Options) Register(fs *flag.FlagSet, marks string) {
	o.marks = marks
	fs.StringVar(&o.Write, "write", "", "put the table into this page, between the markers "+marks)
	fs.BoolVar(&o.Busy, "busy", false, "write even what was measured while other programs kept the machine busy")
	fs.BoolVar(&o.Strict, "strict", false, "fail if a target is missed")
}

// Open opens the lab on the servers that the environment names. It refuses servers
// that do not keep what they confirm. The caller closes the lab.
func Open(ctx context.Context, environ []string, log *slog.Logger) (*lab.Lab, lab.Setup, error) {
	servers, err := env.Load[lab.Servers](environ)
	if err != nil {
		return nil, lab.Setup{}, err
	}
	cfg, name, err := servers.PostgresConfig()
	if err != nil {
		return nil, lab.Setup{}, err
	}
	opts, err := servers.RedisOptions()
	if err != nil {
		return nil, lab.Setup{}, err
	}
	l, err := lab.Open(ctx, cfg, name, opts, log)
	if err != nil {
		return nil, lab.Setup{}, err
	}
	setup, err := l.Setup(ctx)
	if err == nil && setup.Unsafe != "" {
		err = fmt.Errorf("%s: figures from such servers say nothing about those that keep what they confirm", setup.Unsafe)
	}
	if err != nil {
		return nil, setup, errors.Join(err, l.Close())
	}
	return l, setup, nil
}

// Measured is what a command has found out.
type Measured struct {
	Lines []report.Line
	Notes []string
}

// Take measures and watches what else the machine does meanwhile; it shows every
// line as soon as it is said, writes the page, and tells of missed targets.
func (o Options) Take(setup lab.Setup, preface string, out io.Writer, measure func(say func(report.Line)) (Measured, error)) error {
	fmt.Fprintf(out, "%s\n\n", preface)
	began := time.Now()
	watch := conditions.Begin(setup.Postmaster, setup.RedisPID)
	result, err := measure(func(line report.Line) { fmt.Fprintln(out, line) })
	weather := watch.Stop()
	if err != nil {
		return err
	}
	notes := append(result.Notes, fmt.Sprintf("The run took %v on %s.", time.Since(began).Round(time.Second), weather.Text))
	fmt.Fprintf(out, "\n%s\nother programs: %s\n", strings.Join(notes, "\n"), weather.Others)
	if o.Write != "" && !o.Busy && weather.Disturbed > quiet {
		fmt.Fprintf(out, "not written to %s: others took %.0f %% of the processors' time (-busy writes it all the same)\n",
			o.Write, 100*weather.Disturbed)
		o.Write = ""
	}
	return o.conclude(out, preface, notes, result.Lines)
}

func (o Options) conclude(out io.Writer, preface string, notes []string, lines []report.Line) error {
	var missed []string
	for _, l := range lines {
		if l.Missed() {
			missed = append(missed, l.Name)
		}
	}
	if len(missed) > 0 {
		fmt.Fprintf(out, "missed: %s\n", strings.Join(missed, "; "))
	}
	if o.Write != "" {
		text := preface + "\n\n" + report.Table(lines) + "\n" + strings.Join(notes, " ")
		if err := report.Write(o.Write, o.marks, text); err != nil {
			return err
		}
		fmt.Fprintf(out, "wrote %s\n", o.Write)
	}
	if o.Strict && len(missed) > 0 {
		return fmt.Errorf("%d targets were missed", len(missed))
	}
	return nil
}
