package client_test

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-troika/troika/lab/report"
)

// The targets: allocations over the minimal client's without tracing, and processor
// time as a multiple of the bare one's without and with tracing.
const (
	moreAllocations = 16
	timeUntraced    = 1.1
	timeTraced      = 1.6
)

const (
	callers    = 16
	sliceCalls = 100 // of each caller
	slices     = 40
)

// BenchmarkCall measures time, processor time and allocations of each way.
func BenchmarkCall(b *testing.B) {
	all := ways(b)
	for _, w := range all {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				if err := w.call(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkOverBare has all ways take turns, each with 16 callers at once, and
// reports the median of their processor times over the bare client's: the result
// to trust on a machine that others use as well. With a single caller most of
// the time measured is that of threads going to sleep and waking up.
func BenchmarkOverBare(b *testing.B) {
	all := ways(b)
	for _, w := range all {
		run(b, w) // warm up
	}
	costs, ratios := make([][]float64, len(all)), make([][]float64, len(all))
	for b.Loop() {
		for slice := range slices {
			took := make([]float64, len(all))
			for i := range all {
				at := (i + slice) % len(all)
				runtime.GC()
				took[at] = float64(run(b, all[at])) / (callers * sliceCalls)
			}
			for i := range all {
				costs[i] = append(costs[i], took[i])
				ratios[i] = append(ratios[i], took[i]/took[bare])
			}
		}
	}
	for i, w := range all {
		b.Logf("%-8s %6.1f µs of processor time per call, %.3f × bare",
			w.name, report.Median(costs[i])/1000, report.Median(ratios[i]))
		b.ReportMetric(report.Median(ratios[i]), w.name+"/bare-cpu")
	}
	b.Logf("targets: untraced ≤ %v ×, traced ≤ %v ×", timeUntraced, timeTraced)
	b.ReportMetric(0, "ns/op") // means nothing here
}

// run makes the calls of one slice and returns the processor time they took.
func run(tb testing.TB, w way) time.Duration {
	tb.Helper()
	began := processorTime(tb)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range sliceCalls {
				if err := w.call(); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return processorTime(tb) - began
}

// processorTime returns what this process has used.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestAllocationsOverMinimalClient(t *testing.T) {
	all := ways(t)
	counts := map[string]float64{}
	for _, w := range all {
		counts[w.name] = testing.AllocsPerRun(300, func() {
			if err := w.call(); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Logf("allocations of a call: %v", counts)
	if more := counts["untraced"] - counts["minimal"]; more > moreAllocations {
		t.Errorf("%v allocations more than the minimal client, at most %d are allowed", more, moreAllocations)
	}
}
