package resilience

import (
	"net/http"
	"sync"
	"time"
)

// Attempts is a transport that records its requests. It is safe for concurrent use.
type Attempts struct {
	next http.RoundTripper

	mu  sync.Mutex
	all []attempt
}

type attempt struct {
	host   string
	began  time.Time
	failed bool
}

// RoundTrip implements [http.RoundTripper].
func (a *Attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := a.next.RoundTrip(req)
	failed := err != nil || resp.StatusCode >= http.StatusInternalServerError
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, attempt{req.URL.Host, began, failed})
	return resp, err
}

// Failed returns how many requests to the host that began since then got no response, or
// one of 500 and above.
func (a *Attempts) Failed(host string, since time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, one := range a.all {
		if one.host == host && one.failed && !one.began.Before(since) {
			n++
		}
	}
	return n
}

// Shares returns the part, 0..1, of the requests to these instances that each of them
// got, of those that began between the two times.
func (a *Attempts) Shares(instances []Part, from, to time.Time) []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts, total := make([]float64, len(instances)), 0.0
	for _, one := range a.all {
		for i, p := range instances {
			if one.host == p.Host() && !one.began.Before(from) && one.began.Before(to) {
				counts[i]++
				total++
			}
		}
	}
	for i := range counts {
		counts[i] /= max(total, 1)
	}
	return counts
}

// First returns when the first request to the host since then began; zero if none has.
func (a *Attempts) First(host string, since time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	var first time.Time
	for _, one := range a.all {
		if one.host == host && !one.began.Before(since) && (first.IsZero() || one.began.Before(first)) {
			first = one.began
		}
	}
	return first
}

// shareWindow is the time over which Returned takes an instance's share.
const shareWindow = 500 * time.Millisecond

// Returned returns how long after the given time the instance at place i had at least
// four fifths of its share for half a second, and false if it had not yet.
func (a *Attempts) Returned(instances []Part, i int, since time.Time) (time.Duration, bool) {
	for from := since; from.Add(shareWindow).Before(time.Now()); from = from.Add(shareWindow / 10) {
		if a.Shares(instances, from, from.Add(shareWindow))[i] >= 0.8/float64(len(instances)) {
			return from.Sub(since), true
		}
	}
	return 0, false
}
