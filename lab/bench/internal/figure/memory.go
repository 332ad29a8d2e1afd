package figure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

const (
	memoryFill   = 2_000 // events of one transaction while the backlog is made
	memorySettle = 20_000
	memoryPoll   = 100 * time.Millisecond
	memoryLimit  = 30 * time.Minute
	memorySlow   = 100 * time.Microsecond // a handler that falls behind the relay, so that the backlog stands in Redis
)

// memory measures by how much this process, with relay and consumer in it,
// grows when it works off a great backlog, beyond what a small one takes.
func (b *Bench) memory(ctx context.Context) (result Result, err error) {
	n := b.Plan.Memory
	if n == 0 {
		return Result{}, nil
	}
	ours, err := road.NewOurs(ctx, b.Lab)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	base, err := b.peak(ctx, ours, min(n, memorySettle))
	if err != nil {
		return Result{}, err
	}
	high, err := b.peak(ctx, ours, n)
	if err != nil {
		return Result{}, err
	}
	return Result{Lines: []report.Line{
		report.Line{
			Name: fmt.Sprintf("growth of memory under a backlog of %d", n), Unit: "MiB",
			Values: map[report.Side]float64{report.Ours: high - base},
		}.AtMost(20),
	}}, nil
}

// peak works off a backlog of n and gives the most memory taken meanwhile, in
// MiB, without what the tally itself takes.
func (b *Bench) peak(ctx context.Context, ours *road.Ours, n int) (float64, error) {
	slice := b.newSlice()
	for from := 0; from < n; from += memoryFill {
		events := make([]road.Event, 0, memoryFill)
		for i := from; i < min(from+memoryFill, n); i++ {
			events = append(events, road.NewEvent(slice, i))
		}
		if err := ours.Fill(ctx, events); err != nil {
			return 0, err
		}
	}
	debug.FreeOSMemory()
	t := &counter{slice: slice}
	run := b.launch(ctx, ours.Carry, func(ctx context.Context) error { return ours.Deliver(ctx, t.handle) })
	var high float64
	err := until(run.ctx, memoryLimit, func() (bool, string) {
		high = max(high, resident())
		time.Sleep(memoryPoll)
		return t.handled() >= n, fmt.Sprintf("%d of %d events were handled", t.handled(), n)
	})
	return high, errors.Join(err, run.stop())
}

// counter counts the events of a slice.
type counter struct {
	slice int64
	mu    sync.Mutex
	n     int
}

func (c *counter) handle(e road.Event) {
	if e.Slice != c.slice {
		return
	}
	time.Sleep(memorySlow)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) handled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// resident is the memory of this process in MiB, proc_pid_status(5); 0 where
// there is no /proc.
func resident() float64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
