package metrics

import (
	"sync"
	"time"
)

const (
	windowSeconds = 60
	latestSeconds = 10
)

// window counts calls over the life of the process and over the last minute, in buckets
// of one second. The zero window is ready; it is safe for concurrent use.
type window struct {
	mu      sync.Mutex
	life    counts
	buckets [windowSeconds]bucket
}

type counts struct {
	calls, errors int64
	duration      time.Duration // sum over the calls
}

type bucket struct {
	second int64 // Unix time
	counts
}

func (c *counts) add(o counts) {
	c.calls += o.calls
	c.errors += o.errors
	c.duration += o.duration
}

// meanMillis is the average duration in milliseconds, 0 when nothing was counted.
func (c counts) meanMillis() float64 {
	if c.calls == 0 {
		return 0
	}
	return float64(c.duration.Microseconds()/c.calls) / 1000
}

// fails reports whether too large a share were errors.
func (c counts) fails() bool { return float64(c.errors) > maxErrorRate*float64(c.calls) }

func (w *window) add(failed bool, d time.Duration) {
	one := counts{calls: 1, duration: d}
	if failed {
		one.errors = 1
	}
	second := time.Now().Unix()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life.add(one)
	b := &w.buckets[second%windowSeconds]
	if b.second != second {
		*b = bucket{second: second}
	}
	b.add(one)
}

// sums returns what was counted since the start, in the window that ends now, and in
// its last seconds.
func (w *window) sums() (life, recent, latest counts) {
	now := time.Now().Unix()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.buckets {
		if b.second > now-windowSeconds {
			recent.add(b.counts)
		}
		if b.second > now-latestSeconds {
			latest.add(b.counts)
		}
	}
	return w.life, recent, latest
}
