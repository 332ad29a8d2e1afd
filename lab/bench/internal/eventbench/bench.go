// Package eventbench measures the pipelines of package pipeline beside each other.
//
// All measurements come from one run on one machine. What is compared is measured in
// turns, in slices of a few seconds, each with a warm-up, and a result is the median
// over the rounds: on a machine that others use as well, the ratios are to be trusted,
// the values themselves less.
package eventbench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/report"
)

// Plan sets how often and how long is measured.
type Plan struct {
	Rounds    int           // turns of every measurement
	Steady    time.Duration // of a slice at a steady rate; longer than Idle
	Idle      time.Duration // how long the other database's transaction stays open
	Backlog   int           // events that are drained through the outbox
	Stream    int           // events that wait in the stream
	Writers   int           // that write at full speed
	Write     time.Duration // of a slice in which they do
	Insert    time.Duration // of a slice of bare transactions
	Takeovers int           // relays that are killed, and stopped
	Memory    int           // events of the backlog whose memory is measured; 0 leaves it out
}

// Default takes about four minutes.
var Default = Plan{
	Rounds: 3, Steady: 3500 * time.Millisecond, Idle: 3 * time.Second, Backlog: 12_000, Stream: 20_000,
	Writers: 32, Write: 3 * time.Second, Insert: time.Second, Takeovers: 3,
}

const (
	rate        = 200 // events a second, steady
	warmUps     = 30  // events before a slice
	clients     = 8   // of bare transactions
	handleTime  = time.Minute
	warmUpTime  = 20 * time.Second
	memoryTime  = 30 * time.Minute
	memoryBase  = 20_000                 // events of the backlog that a great one is compared with
	memoryPause = 100 * time.Microsecond // of a handler that is slower than the relay, so that the backlog stands in Redis
)

// Bench measures.
type Bench struct {
	Servers *servers.Servers
	Plan    Plan

	slices atomic.Int64
}

// measurements are taken in this order.
var measurements = []struct {
	name    string
	measure func(*Bench, context.Context) (command.Result, error)
}{
	{"latency", (*Bench).latency}, {"snapshot", (*Bench).snapshot}, {"drain", (*Bench).drain},
	{"writers", (*Bench).writers}, {"consume", (*Bench).consume}, {"relay", (*Bench).relay},
	{"insert", (*Bench).insert}, {"takeover", (*Bench).takeover}, {"memory", (*Bench).memory},
}

// Names returns the names of the measurements.
func Names() []string {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	return names
}

// Run takes the measurements of these names, and passes each line to say as soon as it is
// known.
func (b *Bench) Run(ctx context.Context, names []string, say func(report.Line)) (command.Result, error) {
	var result command.Result
	for _, m := range measurements {
		if !slices.Contains(names, m.name) {
			continue
		}
		part, err := m.measure(b, ctx)
		if err != nil {
			return result, fmt.Errorf("measure %s: %w", m.name, err)
		}
		for _, l := range part.Lines {
			say(l)
		}
		result.Add(part)
	}
	return result, nil
}

var all = []report.Side{report.Baseline, report.Ours, report.Tuned, report.Default}

// pipelines are what is compared.
type pipelines map[report.Side]pipeline.Pipeline

func (b *Bench) open(ctx context.Context, sides ...report.Side) (pipelines, error) {
	opened := pipelines{}
	for _, side := range sides {
		p, err := b.openSide(ctx, side)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare %s: %w", side, err), opened.close())
		}
		opened[side] = p
	}
	return opened, nil
}

func (b *Bench) openSide(ctx context.Context, side report.Side) (pipeline.Pipeline, error) {
	switch side {
	case report.Baseline:
		return pipeline.NewBaseline(ctx, b.Servers)
	case report.Ours:
		return pipeline.NewOurs(ctx, b.Servers)
	case report.Tuned:
		return pipeline.NewWatermill(ctx, b.Servers, pipeline.Tuned)
	default:
		return pipeline.NewWatermill(ctx, b.Servers, pipeline.Tuning{})
	}
}

func (p pipelines) close() error {
	var errs []error
	for _, one := range p {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// samples are what was measured in the rounds.
type samples map[report.Side][]float64

func (s samples) add(side report.Side, value float64) { s[side] = append(s[side], value) }

func (s samples) medians() report.Values {
	medians := report.Values{}
	for side, values := range s {
		medians[side] = report.Median(values)
	}
	return medians
}

// turns measures every side in every round, a different one first each time, on
// databases and streams that serve this measurement only.
func (b *Bench) turns(
	ctx context.Context, sides []report.Side, measure func(context.Context, report.Side, pipeline.Pipeline) error,
) (err error) {
	opened, err := b.open(ctx, sides...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	for round := range b.Plan.Rounds {
		for i := range sides {
			side := sides[(i+round)%len(sides)]
			runtime.GC()
			if err := measure(ctx, side, opened[side]); err != nil {
				return fmt.Errorf("%s: %w", side, err)
			}
		}
	}
	return nil
}

// perSecond returns the rate of n events within d.
func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }
