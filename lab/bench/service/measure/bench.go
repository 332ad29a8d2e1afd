package measure

import (
	"context"
	"sync/atomic"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/service/fleet"
	"github.com/go-troika/troika/lab/bench/service/process"
)

// Bench takes the figures.
type Bench struct {
	Fleet *fleet.Fleet
	Plan  Plan
	// Profiles is a folder for CPU profiles of our services, one for each route,
	// taken in a slice that is not measured; "" for none.
	Profiles string
	// Say is called with each line as soon as it is known.
	Say func(report.Line)

	ours, floor map[string]*process.Process
	serial      atomic.Int64
}

// Run takes all figures.
func (b *Bench) Run(ctx context.Context) ([]report.Line, error) {
	var lines []report.Line
	for _, measure := range []func(context.Context) ([]report.Line, error){
		b.startUp, b.open, b.idleMemory, b.routes, b.events, b.usedMemory,
	} {
		part, err := measure(ctx)
		if err != nil {
			return lines, err
		}
		for _, l := range part {
			b.Say(l)
		}
		lines = append(lines, part...)
	}
	return lines, nil
}

// open starts all that is measured from now on.
func (b *Bench) open(ctx context.Context) ([]report.Line, error) {
	b.ours, b.floor = map[string]*process.Process{}, map[string]*process.Process{}
	var err error
	for _, name := range fleet.Names() {
		if b.ours[name], err = b.Fleet.StartService(ctx, name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{contracts.UserService, contracts.OrderService} {
		if b.floor[name], err = b.Fleet.StartFloor(ctx, name); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// startUp starts each service alone, several times, over databases that are up.
func (b *Bench) startUp(ctx context.Context) ([]report.Line, error) {
	took := map[string][]float64{}
	for range b.Plan.Starts {
		for _, name := range fleet.Names() {
			p, err := b.Fleet.StartService(ctx, name)
			if err != nil {
				return nil, err
			}
			took[name] = append(took[name], report.Milliseconds(p.Startup))
		}
		if err := b.Fleet.StopServices(); err != nil {
			return nil, err
		}
	}
	slowest := 0.0
	for _, values := range took {
		slowest = max(slowest, report.Median(values))
	}
	return []report.Line{line("start to ready, slowest of the services", "ms", map[report.Side]float64{
		report.Ours: slowest, report.Reference: reference.start,
	}).To(report.Reference).AtMost(0.5)}, nil
}

func line(name, unit string, values map[report.Side]float64) report.Line {
	return report.Line{Name: name, Unit: unit, Values: values}
}

// number is unique in a run.
func (b *Bench) number() int64 { return b.serial.Add(1) }
