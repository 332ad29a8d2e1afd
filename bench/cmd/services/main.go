// Command services measures the services beside their floor, in one run, as
// processes over the Postgres of TEST_POSTGRES_URL and the Redis of TEST_REDIS_URL.
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
	"syscall"
	"time"

	"github.com/go-troika/troika/bench/internal/conditions"
	"github.com/go-troika/troika/bench/internal/lab"
	"github.com/go-troika/troika/bench/internal/report"
	"github.com/go-troika/troika/bench/service/fleet"
	"github.com/go-troika/troika/bench/service/measure"
	"github.com/go-troika/troika/pkg/env"
)

const (
	markers = "bench:services"

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
	plan     measure.Plan
	write    string
	profiles string
	busy     bool
	strict   bool
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("services", flag.ContinueOnError)
	full := fs.Bool("full", false, "more and longer rounds: about six minutes instead of two")
	fs.StringVar(&o.write, "write", "", "put the table into this page, between the markers "+markers)
	fs.StringVar(&o.profiles, "profiles", "", "put CPU profiles of the services into this folder, one for each route")
	fs.BoolVar(&o.busy, "busy", false, "write even what was measured while other programs kept the machine busy")
	fs.BoolVar(&o.strict, "strict", false, "fail if a target is missed")
	err := fs.Parse(args)
	o.plan = measure.Short
	if *full {
		o.plan = measure.Full
	}
	return o, err
}

func run(ctx context.Context, args, environ []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	servers, err := env.Load[lab.Servers](environ)
	if err != nil {
		return err
	}
	l, err := open(ctx, servers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	setup, err := l.Setup(ctx)
	switch {
	case err != nil:
		return err
	case setup.Unsafe != "":
		return fmt.Errorf("%s: figures from such servers say nothing about those that keep what they confirm", setup.Unsafe)
	}
	return withFleet(ctx, l, func(f *fleet.Fleet) error { return take(ctx, f, setup, o, out) })
}

func open(ctx context.Context, s lab.Servers) (*lab.Lab, error) {
	cfg, name, err := s.PostgresConfig()
	if err != nil {
		return nil, err
	}
	opts, err := s.RedisOptions()
	if err != nil {
		return nil, err
	}
	return lab.Open(ctx, cfg, name, opts, slog.New(slog.DiscardHandler))
}

// withFleet builds what is measured, and takes it away again.
func withFleet(ctx context.Context, l *lab.Lab, do func(*fleet.Fleet) error) (err error) {
	address, giveBack, err := l.LeaseRedis(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, giveBack()) }()
	dir, err := os.MkdirTemp("", "troika-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := fleet.Open(ctx, fleet.Servers{Lab: l, RedisURL: address}, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return do(f)
}

func take(ctx context.Context, f *fleet.Fleet, setup lab.Setup, o options, out io.Writer) error {
	preface := describe(setup, o.plan)
	fmt.Fprintf(out, "%s\n\n", preface)
	began := time.Now()
	watch := conditions.Begin(setup.Postmaster, setup.RedisPID)
	b := &measure.Bench{Fleet: f, Plan: o.plan, Profiles: o.profiles, Say: func(line report.Line) { fmt.Fprintln(out, line) }}
	lines, err := b.Run(ctx)
	weather := watch.Stop()
	if err != nil {
		return err
	}
	note := fmt.Sprintf("The run took %v on %s.", time.Since(began).Round(time.Second), weather.Text)
	fmt.Fprintf(out, "\n%s\nother programs: %s\n", note, weather.Others)
	if o.write != "" && !o.busy && weather.Disturbed > quiet {
		fmt.Fprintf(out, "not written to %s: others took %.0f %% of the processors' time (-busy writes it all the same)\n",
			o.write, 100*weather.Disturbed)
		o.write = ""
	}
	return conclude(o, out, preface, note, lines)
}
