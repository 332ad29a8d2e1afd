package breaker

import "time"

// Failures count as a share of at least rateCalls calls in rateWindow.
const (
	rateCalls  = 20
	rateWindow = 10 * time.Second
	buckets    = 10
)

// window counts the calls of the last rateWindow. It is not safe for concurrent use.
type window struct {
	began   time.Time // of the first call
	buckets [buckets]bucket
}

type bucket struct {
	number          int64 // since began
	calls, failures int
}

// add counts a call and returns the share of failures in the window that ends now, 0 if
// there are too few calls.
func (w *window) add(now time.Time, failed bool) float64 {
	if w.began.IsZero() {
		w.began = now
	}
	number := int64(now.Sub(w.began) / (rateWindow / buckets))
	b := &w.buckets[number%buckets]
	if b.number != number {
		*b = bucket{number: number}
	}
	b.calls++
	if failed {
		b.failures++
	}
	var calls, failures int
	for _, b := range w.buckets {
		if number-b.number < buckets {
			calls += b.calls
			failures += b.failures
		}
	}
	if calls < rateCalls {
		return 0
	}
	return float64(failures) / float64(calls)
}
