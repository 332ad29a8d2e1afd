package client_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/go-troika/troika/bench/internal/report"
)

// The targets: allocations over the bare client's without tracing, and processor
// time as a multiple of it without and with tracing.
const (
	moreAllocations = 12
	timeUntraced    = 1.1
	timeTraced      = 1.6
)

const (
	sliceCalls = 400
	slices     = 60
)

// BenchmarkCall gives time, processor time and allocations of each way.
func BenchmarkCall(b *testing.B) {
	for _, w := range ways(b) {
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

// BenchmarkOverBare has all ways take turns and gives the median of their
// processor times over the bare client's: the figure to trust on a machine that
// others use as well.
func BenchmarkOverBare(b *testing.B) {
	all := ways(b)
	for _, w := range all {
		run(b, w, sliceCalls) // warm up
	}
	ratios := make([][]float64, len(all))
	for b.Loop() {
		for slice := range slices {
			took := make([]time.Duration, len(all))
			for i := range all {
				at := (i + slice) % len(all)
				runtime.GC()
				took[at] = run(b, all[at], sliceCalls)
			}
			for i := range all {
				ratios[i] = append(ratios[i], float64(took[i])/float64(took[0]))
			}
		}
	}
	for i, w := range all[1:] {
		b.ReportMetric(report.Median(ratios[i+1]), w.name+"/bare-cpu")
	}
	b.ReportMetric(timeUntraced, "target-untraced")
	b.ReportMetric(timeTraced, "target-traced")
	b.ReportMetric(0, "ns/op") // means nothing here
}

// run makes n calls and gives the processor time they took.
func run(tb testing.TB, w way, n int) time.Duration {
	tb.Helper()
	began := processorTime(tb)
	for range n {
		if err := w.call(); err != nil {
			tb.Fatal(err)
		}
	}
	return processorTime(tb) - began
}

// processorTime is what this process has used.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestAllocationsOverBare(t *testing.T) {
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
	if more := counts["untraced"] - counts["bare"]; more > moreAllocations {
		t.Errorf("%v allocations more than the bare client, at most %d are allowed", more, moreAllocations)
	}
}
