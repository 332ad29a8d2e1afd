package resilience

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/report"
)

// Load is a number of callers, each of which makes one call after the other.
type Load struct {
	stop    context.CancelFunc
	callers sync.WaitGroup

	mu     sync.Mutex
	counts Counts
}

// Counts are the outcomes of calls.
type Counts struct {
	Calls, Failed int
	First         error // of those that failed
	took          []time.Duration
}

// Begin starts callers that call until [Load.End], each with a pause of pace on
// average between two calls, 0 for none. Calls are not interrupted at the end.
func Begin(ctx context.Context, callers int, pace time.Duration, call func(context.Context) error) *Load {
	running, stop := context.WithCancel(ctx)
	l := &Load{stop: stop}
	for range callers {
		l.callers.Go(func() {
			_ = poll.Sleep(running, spread(pace)/2) // not all in step
			for running.Err() == nil {
				began := time.Now()
				l.count(call(context.WithoutCancel(ctx)), time.Since(began))
				_ = poll.Sleep(running, spread(pace))
			}
		})
	}
	return l
}

// AtOnce makes n calls at the same time and returns their outcomes.
func AtOnce(n int, call func(i int) error) Counts {
	l := &Load{}
	start := make(chan struct{})
	for i := range n {
		l.callers.Go(func() {
			<-start
			began := time.Now()
			l.count(call(i), time.Since(began))
		})
	}
	close(start)
	l.callers.Wait()
	return l.counts
}

// End waits until every caller has finished its call and returns the outcomes of all.
func (l *Load) End() Counts {
	l.stop()
	l.callers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Calls returns how many have ended so far.
func (l *Load) Calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.Calls
}

func (l *Load) count(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.add(err, took)
}

func (c *Counts) add(err error, took time.Duration) {
	c.Calls++
	c.took = append(c.took, took)
	if err == nil {
		return
	}
	if c.Failed++; c.First == nil {
		c.First = err
	}
}

// Percentile returns the time within which that part, 0..1, of the calls ended; 0
// without calls.
func (c Counts) Percentile(p float64) time.Duration { return report.Percentile(c.took, p) }

// spread returns a random time from half to one and a half of d.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}
