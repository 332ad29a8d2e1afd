package resilience

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-troika/troika/e2e/poll"
)

// Load is a number of callers, each of which makes one call after the other.
type Load struct {
	stop    context.CancelFunc
	callers sync.WaitGroup

	mu    sync.Mutex
	tally Tally
}

// Tally is what became of calls.
type Tally struct {
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

// AtOnce makes n calls at the same time and answers what became of them.
func AtOnce(n int, call func(i int) error) Tally {
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
	return l.tally
}

// End lets every caller finish its call and answers what became of all.
func (l *Load) End() Tally {
	l.stop()
	l.callers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally
}

// Calls is how many have ended so far.
func (l *Load) Calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally.Calls
}

func (l *Load) count(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.add(err, took)
}

func (t *Tally) add(err error, took time.Duration) {
	t.Calls++
	t.took = append(t.took, took)
	if err == nil {
		return
	}
	if t.Failed++; t.First == nil {
		t.First = err
	}
}

// Percentile is the time within which that part, 0..1, of the calls ended; 0
// without calls.
func (t Tally) Percentile(p float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.took))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// spread is a random time from half to one and a half of d.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}
