// Command services measures the services beside their floor, in one run, as
// processes over the Postgres of TEST_POSTGRES_URL and the Redis of TEST_REDIS_URL.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"

	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/session"
	"github.com/go-troika/troika/lab/bench/service/fleet"
	"github.com/go-troika/troika/lab/bench/service/measure"
)

func main() { session.Main(run) }

type options struct {
	session.Options
	plan     measure.Plan
	profiles string
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("services", flag.ContinueOnError)
	full := fs.Bool("full", false, "more and longer rounds: about six minutes instead of two")
	o.Register(fs, "bench:services")
	fs.StringVar(&o.profiles, "profiles", "", "put CPU profiles of the services into this folder, one for each route")
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
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	l, setup, err := session.Open(ctx, environ, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return withFleet(ctx, l, func(f *fleet.Fleet) error {
		return o.Take(setup, describe(setup, o.plan), out, func(say func(report.Line)) (session.Measured, error) {
			b := &measure.Bench{Fleet: f, Plan: o.plan, Profiles: o.profiles, Say: say}
			lines, err := b.Run(ctx)
			return session.Measured{Lines: lines}, err
		})
	})
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
