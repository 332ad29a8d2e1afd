// Package servicebench measures the services: what a request costs beside the baseline,
// how fast an event arrives, what an idle service holds, and how fast it starts.
package servicebench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/report"
)

// Callers is how many requests are sent at a time, and how many write beside an event.
const Callers = 8

const (
	readers = 256 // users that are looked up in turn
	warmUp  = 1500 * time.Millisecond
	drain   = 100 * time.Millisecond // after a slice, whose events it counts
)

// Plan sets how often and how long is measured.
type Plan struct {
	Rounds int           // turns of every route; each side once in a turn
	Slice  time.Duration // of a side in a turn
	Starts int           // of each service
	Events int           // that are followed one by one
	Beside time.Duration // how long events are followed beside writers
	Settle time.Duration // before an idle service's memory is read
}

// Default takes about two minutes.
var Default = Plan{
	Rounds: 5, Slice: 2 * time.Second, Starts: 5, Events: 200, Beside: 5 * time.Second, Settle: 5 * time.Second,
}

// reference is the same system in Node.js (express, axios, ioredis, sequelize), measured
// once on two such cores and not in this run.
var reference = struct {
	cpu    map[string]float64 // µs of the services' CPU per request
	rate   map[string]float64 // requests a second
	idle   float64            // ms, an event end to end, p50
	beside float64            // the same beside 8 writers
	memory float64            // MiB of three idle processes
	start  float64            // ms to healthy; the better of 500 and 650
}{
	cpu:  map[string]float64{getUser: 814, postUser: 2026, postOrder: 4337},
	rate: map[string]float64{getUser: 1352, postUser: 599, postOrder: 319},
	idle: 4.2, beside: 7.5, memory: 278, start: 500,
}

// Bench measures.
type Bench struct {
	Cluster  *Cluster
	Plan     Plan
	Profiles string // folder for a CPU profile of each service on each route; "" for none

	users atomic.Int64 // created
}

// Run measures everything, and passes each line to say as soon as it is known.
func (b *Bench) Run(ctx context.Context, say func(report.Line)) ([]report.Line, error) {
	var lines []report.Line
	for _, measure := range []func(context.Context) ([]report.Line, error){
		b.startUp, b.start, b.idleMemory, b.routes, b.events, b.usedMemory,
	} {
		part, err := measure(ctx)
		if err != nil {
			return lines, err
		}
		for _, l := range part {
			say(l)
		}
		lines = append(lines, part...)
	}
	return lines, nil
}

// start starts all that is measured from now on.
func (b *Bench) start(ctx context.Context) ([]report.Line, error) {
	if err := b.Cluster.ours.start(ctx); err != nil {
		return nil, err
	}
	return nil, b.Cluster.baseline.start(ctx)
}

// startUp starts the services one by one, several times, over databases that are up.
func (b *Bench) startUp(ctx context.Context) ([]report.Line, error) {
	took := map[string][]float64{}
	for range b.Plan.Starts {
		if err := b.Cluster.ours.start(ctx); err != nil {
			return nil, err
		}
		for name, service := range b.Cluster.ours {
			took[name] = append(took[name], report.Milliseconds(service.Startup))
		}
		if err := b.Cluster.ours.stop(); err != nil {
			return nil, err
		}
	}
	slowest := 0.0
	for _, values := range took {
		slowest = max(slowest, report.Median(values))
	}
	return []report.Line{
		line("start to ready, slowest of the services", "ms",
			report.Values{report.Ours: slowest, report.Reference: reference.start}).
			To(report.Reference).AtMost(0.5),
	}, nil
}

func line(name, unit string, values report.Values) report.Line {
	return report.Line{Name: name, Unit: unit, Values: values}
}

func (b *Bench) idleMemory(ctx context.Context) ([]report.Line, error) {
	resident, proportional, err := b.memory(ctx)
	return []report.Line{
		line("memory of three idle processes, resident", "MiB",
			report.Values{report.Ours: resident, report.Reference: reference.memory}).To(report.Reference).AtMost(0.25),
		line("the same, proportional (PSS)", "MiB", report.Values{report.Ours: proportional}),
	}, err
}

// usedMemory is measured after all load.
func (b *Bench) usedMemory(ctx context.Context) ([]report.Line, error) {
	resident, _, err := b.memory(ctx)
	return []report.Line{line("the same after all this load, resident", "MiB", report.Values{report.Ours: resident})}, err
}

// memory returns the sums of our services, in MiB.
func (b *Bench) memory(ctx context.Context) (resident, proportional float64, err error) {
	if err := poll.Sleep(ctx, b.Plan.Settle); err != nil {
		return 0, 0, err
	}
	for _, service := range b.Cluster.ours {
		r, p, err := service.Memory()
		if err != nil {
			return 0, 0, err
		}
		resident, proportional = resident+r, proportional+p
	}
	return resident, proportional, nil
}
