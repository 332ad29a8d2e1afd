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
	"slices"
	"strings"

	"github.com/go-troika/troika/lab/bench/internal/figure"
	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
	"github.com/go-troika/troika/lab/bench/internal/session"
)

func main() { session.Main(run) }

type options struct {
	session.Options
	plan    figure.Plan
	verbose bool
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("events", flag.ContinueOnError)
	full := fs.Bool("full", false, "more and longer rounds: about twelve minutes instead of four")
	memory := fs.Int("memory", 0, "also measure memory under a backlog of so many events, e.g. 1000000")
	only := fs.String("only", "", "take these figures only: any of "+strings.Join(figure.Names(), ","))
	o.Register(fs, "bench:events")
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
	if o.Write != "" && *only != "" {
		return o, errors.New("-write needs all figures: leave -only out")
	}
	for _, name := range o.plan.Only {
		if !slices.Contains(figure.Names(), name) {
			return o, fmt.Errorf("-only: there is no figure %q", name)
		}
	}
	return o, nil
}

func run(ctx context.Context, args, environ []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	l, setup, err := session.Open(ctx, environ, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return o.Take(setup, describe(setup, o.plan), out, func(say func(report.Line)) (session.Measured, error) {
		b := &figure.Bench{Lab: l, Plan: o.plan, Say: say}
		result, err := b.Run(ctx)
		return session.Measured{Lines: result.Lines, Notes: result.Notes}, err
	})
}

// describe says what is measured, and how the peers are set.
func describe(s lab.Setup, p figure.Plan) string {
	return fmt.Sprintf("Events of %d bytes; %v; medians of %d rounds. Floor: no guarantees, the application commits and then "+
		"appends to the stream. Watermill default: %v. Watermill tuned: %v.", road.Size, s, p.Rounds, road.Tuning{}, road.Tuned)
}
