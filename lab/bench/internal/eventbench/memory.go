package eventbench

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/prometheus/procfs"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/report"
)

// memory measures by how much this process, with relay and consumer in it, grows when
// it works off a great backlog, beyond what a small one takes.
func (b *Bench) memory(ctx context.Context) (result command.Result, err error) {
	n := b.Plan.Memory
	if n == 0 {
		return result, nil
	}
	ours, err := pipeline.NewOurs(ctx, b.Servers)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	base, err := b.peak(ctx, ours, min(n, memoryBase))
	if err != nil {
		return result, err
	}
	high, err := b.peak(ctx, ours, n)
	return command.Result{Lines: []report.Line{
		report.Line{
			Name: fmt.Sprintf("growth of memory under a backlog of %d", n), Unit: "MiB",
			Values: report.Values{report.Ours: high - base},
		}.AtMost(20),
	}}, err
}

// peak works off a backlog of n and returns the most memory taken meanwhile, in MiB. It
// counts events without noting each, which would take memory.
func (b *Bench) peak(ctx context.Context, ours *pipeline.Ours, n int) (float64, error) {
	const batch = 2_000
	slice := b.slices.Add(1)
	for from := 0; from < n; from += batch {
		var events []pipeline.Event
		for i := from; i < min(from+batch, n); i++ {
			events = append(events, pipeline.NewEvent(slice, i))
		}
		if err := ours.FillOutbox(ctx, events); err != nil {
			return 0, err
		}
	}
	debug.FreeOSMemory()
	var handled atomic.Int64
	run := start(ctx, ours.Relay, func(ctx context.Context) error {
		return ours.Consume(ctx, func(e pipeline.Event) {
			_ = poll.Sleep(ctx, memoryPause)
			if e.Slice == slice {
				handled.Add(1)
			}
		})
	})
	var high float64
	var failed error
	err := reach(run.ctx, memoryTime, "events handled", int64(n), func() int64 {
		var now float64
		if now, failed = resident(); failed != nil {
			return int64(n)
		}
		high = max(high, now)
		return handled.Load()
	})
	return high, errors.Join(err, failed, run.stop())
}

// resident returns the memory of this process in MiB.
func resident() (float64, error) {
	self, err := procfs.Self()
	if err != nil {
		return 0, err
	}
	stat, err := self.Stat()
	return float64(stat.ResidentMemory()) / (1 << 20), err
}
