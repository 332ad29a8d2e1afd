// Command events measures the event bus beside its peers, in one run, on the
// Postgres of TEST_POSTGRES_URL and the Redis of TEST_REDIS_URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/bench/internal/conditions"
	"github.com/go-troika/troika/bench/internal/figure"
	"github.com/go-troika/troika/bench/internal/lab"
	"github.com/go-troika/troika/bench/internal/report"
	"github.com/go-troika/troika/bench/internal/road"
	"github.com/go-troika/troika/pkg/env"
)

const (
	markers = "bench:events"

	// Of a machine where others take more than this share of the time, figures
	// are shown but not written down.
	quiet = 0.2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	plan    figure.Plan
	write   string
	busy    bool
	strict  bool
	verbose bool
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("events", flag.ContinueOnError)
	full := fs.Bool("full", false, "more and longer rounds: about twelve minutes instead of three")
	memory := fs.Int("memory", 0, "also measure memory under a backlog of so many events, e.g. 1000000")
	only := fs.String("only", "", "take these figures only: any of "+strings.Join(figure.Names(), ","))
	fs.StringVar(&o.write, "write", "", "put the table into this page, between the markers "+markers)
	fs.BoolVar(&o.busy, "busy", false, "write even what was measured while other programs kept the machine busy")
	fs.BoolVar(&o.strict, "strict", false, "fail if a target is missed")
	fs.BoolVar(&o.verbose, "v", false, "show what the systems under test complain of")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.plan = figure.Short
	if *full {
		o.plan = figure.Full
	}
	o.plan.Memory = *memory
	if *only != "" {
		o.plan.Only = strings.Split(*only, ",")
	}
	if o.write != "" && *only != "" {
		return o, errors.New("-write needs all figures: leave -only out")
	}
	for _, name := range o.plan.Only {
		if !slices.Contains(figure.Names(), name) {
			return o, fmt.Errorf("-only: there is no figure %q", name)
		}
	}
	return o, nil
}

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	servers, err := env.Load[lab.Servers](environ)
	if err != nil {
		return err
	}
	l, err := open(ctx, servers, o)
	if err != nil {
		return err
	}
	return errors.Join(measure(ctx, l, o, out), l.Close())
}

func open(ctx context.Context, s lab.Servers, o options) (*lab.Lab, error) {
	cfg, name, err := s.PostgresConfig()
	if err != nil {
		return nil, err
	}
	opts, err := s.RedisOptions()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return lab.Open(ctx, cfg, name, opts, log)
}

func measure(ctx context.Context, l *lab.Lab, o options, out io.Writer) error {
	setup, err := l.Setup(ctx)
	switch {
	case err != nil:
		return err
	case setup.Unsafe != "":
		return fmt.Errorf("%s: figures from such servers say nothing about those that keep what they confirm", setup.Unsafe)
	}
	preface := describe(setup, o.plan)
	fmt.Fprintf(out, "%s\n\n", preface)

	began := time.Now()
	watch := conditions.Begin(setup.Postmaster, setup.RedisPID)
	b := &figure.Bench{Lab: l, Plan: o.plan, Say: func(line report.Line) { fmt.Fprintln(out, line) }}
	result, err := b.Run(ctx)
	weather := watch.Stop()
	if err != nil {
		return err
	}
	notes := append(result.Notes, fmt.Sprintf("The run took %v on %s.", time.Since(began).Round(time.Second), weather.Text))
	fmt.Fprintf(out, "\n%s\nother programs: %s\n", strings.Join(notes, "\n"), weather.Others)
	if o.write != "" && !o.busy && weather.Disturbed > quiet {
		fmt.Fprintf(out, "not written to %s: others took %.0f %% of the processors' time (-busy writes it all the same)\n",
			o.write, 100*weather.Disturbed)
		o.write = ""
	}
	return conclude(o, out, preface, notes, result.Lines)
}

// describe says what is measured, and how the peers are set.
func describe(s lab.Setup, p figure.Plan) string {
	return fmt.Sprintf("Events of %d bytes; %v; medians of %d rounds. Floor: no guarantees, the application commits and then "+
		"appends to the stream. Watermill default: %v. Watermill tuned: %v.", road.Size, s, p.Rounds, road.Tuning{}, road.Tuned)
}

// conclude writes the page and tells of missed targets.
func conclude(o options, out io.Writer, preface string, notes []string, lines []report.Line) error {
	var missed []string
	for _, l := range lines {
		if l.Missed() {
			missed = append(missed, l.Name)
		}
	}
	if len(missed) > 0 {
		fmt.Fprintf(out, "missed: %s\n", strings.Join(missed, "; "))
	}
	if o.write != "" {
		text := preface + "\n\n" + report.Table(lines) + "\n" + strings.Join(notes, " ")
		if err := report.Write(o.write, markers, text); err != nil {
			return err
		}
		fmt.Fprintf(out, "wrote %s\n", o.write)
	}
	if o.strict && len(missed) > 0 {
		return fmt.Errorf("%d targets were missed", len(missed))
	}
	return nil
}
