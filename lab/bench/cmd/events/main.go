// Command events measures the event bus beside its peers, in one run, on the Postgres
// of TEST_POSTGRES_URL and the Redis of TEST_REDIS_URL.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/eventbench"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/report"
)

func main() { command.Main(run) }

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	names := eventbench.Names()
	plan := eventbench.Default
	c := command.Command{Markers: "bench:events"}
	fs := flag.NewFlagSet("events", flag.ContinueOnError)
	c.RegisterWrite(fs)
	fs.IntVar(&plan.Memory, "memory", 0, "also measure memory under a backlog of so many events, e.g. 1000000")
	only := fs.String("only", "", "measure these only, without -write: any of "+strings.Join(names, ","))
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *only != "" {
		for name := range strings.SplitSeq(*only, ",") {
			if c.Write != "" || !slices.Contains(names, name) {
				return fmt.Errorf("-only %s: takes any of %s, and no -write", name, strings.Join(names, ","))
			}
		}
		names = strings.Split(*only, ",")
	}
	c.Describe = func(servers string) string {
		return fmt.Sprintf("Events of %d bytes; %s; medians of %d rounds. Baseline: no guarantees, the application commits "+
			"and then appends to the stream. Watermill default: %v. Watermill tuned: %v.",
			pipeline.Size, servers, plan.Rounds, pipeline.Tuning{}, pipeline.Tuned)
	}
	c.Measure = func(ctx context.Context, s *servers.Servers, say func(report.Line)) (command.Result, error) {
		b := &eventbench.Bench{Servers: s, Plan: plan}
		return b.Run(ctx, names, say)
	}
	return c.Run(ctx, environ, out)
}
