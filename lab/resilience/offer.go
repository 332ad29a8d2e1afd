package resilience

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-troika/troika/e2e/poll"
)

// Offered are the outcomes of calls that were begun whether or not earlier ones had
// ended.
type Offered struct {
	Calls int
	Took  time.Duration // from the first call to the last response

	errs []error
	took []time.Duration
}

// tick is how often Offer begins the calls that are due.
const tick = 5 * time.Millisecond

// Offer begins rate calls per second for d, and waits for their responses. It has at
// most so many under way at a time, which bounds its connections: when responses take
// longer than that allows, it falls behind, which Took and Calls show.
func Offer(
	ctx context.Context, rate float64, underWay int, d time.Duration, call func(context.Context) error,
) *Offered {
	o := &Offered{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	slots := make(chan struct{}, underWay)
	one := func() {
		began := time.Now()
		err := call(ctx)
		took := time.Since(began)
		<-slots
		mu.Lock()
		defer mu.Unlock()
		o.errs, o.took = append(o.errs, err), append(o.took, took)
	}
	began := time.Now()
	for time.Since(began) < d && ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * rate); o.Calls < due && time.Since(began) < d; o.Calls++ {
			slots <- struct{}{}
			calls.Go(one)
		}
		_ = poll.Sleep(ctx, tick)
	}
	calls.Wait()
	o.Took = time.Since(began)
	return o
}

// Split parts the calls that were refused, which end with that error, from all
// others.
func (o *Offered) Split(refusal error) (accepted, refused Counts) {
	for i, err := range o.errs {
		if errors.Is(err, refusal) {
			refused.add(nil, o.took[i])
		} else {
			accepted.add(err, o.took[i])
		}
	}
	return accepted, refused
}
