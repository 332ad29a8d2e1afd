package figure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// Bench takes the figures.
type Bench struct {
	Lab  *lab.Lab
	Plan Plan
	// Say is called with each line as soon as it is known.
	Say func(report.Line)

	slices   atomic.Int64
	repeated map[report.Side]int64
}

// Result is what a run measured.
type Result struct {
	Lines []report.Line
	// Notes are what does not fit into a table.
	Notes []string
}

// figures are the groups of figures in the order in which they are taken.
var figures = []struct {
	name    string
	measure func(*Bench, context.Context) (Result, error)
}{
	{"latency", (*Bench).latency}, {"snapshot", (*Bench).snapshot}, {"drain", (*Bench).drain}, {"writers", (*Bench).writers}, {"consume", (*Bench).consume},
	{"move", (*Bench).move}, {"insert", (*Bench).insert}, {"takeover", (*Bench).takeover}, {"memory", (*Bench).memory},
}

// Names are what Plan.Only may hold.
func Names() []string {
	var names []string
	for _, f := range figures {
		names = append(names, f.name)
	}
	return names
}

// Run takes all figures of the plan.
func (b *Bench) Run(ctx context.Context) (Result, error) {
	b.repeated = map[report.Side]int64{}
	var result Result
	for _, f := range figures {
		if len(b.Plan.Only) > 0 && !slices.Contains(b.Plan.Only, f.name) {
			continue
		}
		part, err := f.measure(b, ctx)
		if err != nil {
			return result, fmt.Errorf("measure %s: %w", f.name, err)
		}
		for _, l := range part.Lines {
			b.Say(l)
		}
		result.Lines = append(result.Lines, part.Lines...)
		result.Notes = append(result.Notes, part.Notes...)
	}
	result.Notes = append(result.Notes, b.repetitions()...)
	return result, nil
}

// repetitions tells who delivered events more than once although nothing
// failed.
func (b *Bench) repetitions() []string {
	var notes []string
	for _, side := range order {
		if n := b.repeated[side]; n > 0 {
			notes = append(notes, fmt.Sprintf("Delivered more than once: %d events by %s.", n, side))
		}
	}
	return notes
}

// newSlice numbers the slices of a run.
func (b *Bench) newSlice() int64 { return b.slices.Add(1) }

// field is the roads that are compared.
type field map[report.Side]road.Road

var order = []report.Side{report.Floor, report.Ours, report.Tuned, report.Default}

func (b *Bench) open(ctx context.Context) (field, error) {
	f := field{}
	for _, side := range order {
		r, err := b.road(ctx, side)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare %s: %w", side, err), f.close())
		}
		f[side] = r
	}
	return f, nil
}

func (b *Bench) road(ctx context.Context, side report.Side) (road.Road, error) {
	switch side {
	case report.Floor:
		return road.NewFloor(ctx, b.Lab)
	case report.Ours:
		return road.NewOurs(ctx, b.Lab)
	case report.Tuned:
		return road.NewWatermill(ctx, b.Lab, road.Tuned)
	default:
		return road.NewWatermill(ctx, b.Lab, road.Tuning{})
	}
}

func (f field) close() error {
	var errs []error
	for _, r := range f {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// samples collects what was measured, side by side.
type samples map[report.Side][]float64

func (s samples) medians() map[report.Side]float64 {
	medians := map[report.Side]float64{}
	for side, values := range s {
		medians[side] = report.Median(values)
	}
	return medians
}

// turns has every road measured in every round, a different one first each
// time, on databases and streams that serve this figure only.
func (b *Bench) turns(ctx context.Context, measure func(context.Context, report.Side, road.Road) error) (err error) {
	f, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	for round := range b.Plan.Rounds {
		for i := range order {
			side := order[(i+round)%len(order)]
			runtime.GC()
			if err := measure(ctx, side, f[side]); err != nil {
				return fmt.Errorf("%s: %w", side, err)
			}
		}
	}
	return nil
}
