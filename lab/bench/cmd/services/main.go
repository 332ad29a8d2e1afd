// Command services measures the services beside a baseline, in one run, as processes
// over the Postgres of TEST_POSTGRES_URL and the Redis of TEST_REDIS_URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/bench/internal/servicebench"
	"github.com/go-troika/troika/lab/report"
)

func main() { command.Main(run) }

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	c := command.Command{Markers: "bench:services", Describe: describe}
	fs := flag.NewFlagSet("services", flag.ContinueOnError)
	c.RegisterWrite(fs)
	profiles := fs.String("profiles", "", "put CPU profiles of the services into this folder, one for each route")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *profiles != "" {
		if err := os.MkdirAll(*profiles, 0o755); err != nil {
			return err
		}
	}
	c.Measure = func(ctx context.Context, s *servers.Servers, say func(report.Line)) (result command.Result, err error) {
		dir, err := os.MkdirTemp("", "troika-bench-")
		if err != nil {
			return result, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cluster, err := servicebench.Open(ctx, s, dir)
		if err != nil {
			return result, err
		}
		defer func() { err = errors.Join(err, cluster.Close()) }()
		b := &servicebench.Bench{Cluster: cluster, Plan: servicebench.Default, Profiles: *profiles}
		result.Lines, err = b.Run(ctx, say)
		return result, err
	}
	return c.Run(ctx, environ, out)
}

// describe returns what is measured, and how.
func describe(servers string) string {
	p := servicebench.Default
	return fmt.Sprintf("%s; medians of %d slices of %v on each side, in turn, with %d callers, each of which sends "+
		"its next request when it has the response to the last. Ours: all three services as their "+
		"images have them, with their default configuration (service tokens checked, metrics counted, "+
		"relay and consumers at work, log at info into a file). Baseline: the same SQL, outbox row "+
		"included, in bare gin and pgx without any middleware; no relay takes its events. CPU is user "+
		"and system time of the services called, from /proc; that of the generator, of Postgres and "+
		"of Redis is not in it. Reference: the same system in Node.js (express, axios, ioredis, "+
		"sequelize), taken earlier on two such cores, not in this run.",
		servers, p.Rounds, p.Slice, servicebench.Callers)
}
