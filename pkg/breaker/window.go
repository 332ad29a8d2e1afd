package breaker

import "time"

// window applies the rate rule to a sliding stretch of time, kept in tenths. It is not
// safe for concurrent use.
type window struct {
	cfg     Config
	born    time.Time
	buckets [10]bucket
}

type bucket struct {
	tenth           int64 // since born, counted from 0
	calls, failures int
}

// add counts a call and reports whether the window that ends now breaks the rule.
func (w *window) add(now time.Time, failed bool) (tripped bool) {
	tenth := int64(now.Sub(w.born) / max(w.cfg.RateWindow/10, 1))
	b := &w.buckets[tenth%10]
	if b.tenth != tenth {
		*b = bucket{tenth: tenth}
	}
	b.calls++
	if failed {
		b.failures++
	}
	var calls, failures int
	for _, b := range w.buckets {
		if tenth-b.tenth < 10 {
			calls += b.calls
			failures += b.failures
		}
	}
	return calls >= w.cfg.RateCalls && float64(failures) >= w.cfg.Rate*float64(calls)
}
