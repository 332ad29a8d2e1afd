package traffic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Load is a closed loop: each client waits for a response before its next request. Clients register a
// user, place an order, read the user, and complete the order, again and again.
type Load struct {
	Clients  int
	Rate     int // requests a second of all clients; 0 for as many as there can be
	Duration time.Duration
	Out      io.Writer
}

// errNone is the error of a load without a single success.
var errNone = errors.New("no request succeeded")

// Run sends the load until its duration is over or ctx ends, prints its progress once a second, and
// at the end durations and errors by operation.
func (l Load) Run(ctx context.Context, t *Target) error {
	ctx, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	r := &record{all: map[string]*operation{}}
	turns := l.turns(ctx)
	var wg sync.WaitGroup
	for range l.Clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				l.round(ctx, t, turns, r)
			}
		})
	}
	began := time.Now()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for before := (totals{}); ; {
		select {
		case <-done:
			r.print(l.Out, time.Since(began))
			if r.sum().succeeded == 0 {
				return errNone
			}
			return nil
		case <-tick.C:
			now := r.sum()
			fmt.Fprintf(l.Out, "%3.0f s  %5d requests/s  %4d failed\n", time.Since(began).Seconds(),
				now.succeeded+now.failed-before.succeeded-before.failed, now.failed-before.failed)
			before = now
		}
	}
}

// turns returns a channel that gives a turn for each request, or nil without a rate.
func (l Load) turns(ctx context.Context) chan struct{} {
	if l.Rate == 0 {
		return nil
	}
	turns := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Second / time.Duration(l.Rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				close(turns)
				return
			case <-tick.C:
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}()
	return turns
}

// round is what a client does; it ends with the first request that fails.
func (l Load) round(ctx context.Context, t *Target, turns chan struct{}, r *record) {
	do := func(name, method, service, path string, body any) (string, bool) {
		if turns != nil {
			<-turns
		}
		if ctx.Err() != nil {
			return "", false
		}
		key := ""
		if method == http.MethodPost {
			key = rand.Text()
		}
		began := time.Now()
		a, err := t.send(ctx, method, service, path, body, key)
		if ctx.Err() != nil { // was cut off
			return "", false
		}
		r.add(name, time.Since(began), err)
		return a.ID, err == nil
	}
	email := "load." + strings.ToLower(rand.Text()[:16]) + "@example.com"
	user, ok := do("POST /users", http.MethodPost, User, "/users", map[string]any{"email": email, "name": "Load"})
	if !ok {
		return
	}
	item := map[string]any{"sku": "tea", "quantity": 1, "unitPrice": 450}
	order, ok := do("POST /orders", http.MethodPost, Order, "/orders", map[string]any{"userId": user, "items": []any{item}})
	if !ok {
		return
	}
	if _, ok = do("GET /users/:id", http.MethodGet, User, "/users/"+user, nil); ok {
		do("POST /orders/:id/complete", http.MethodPost, Order, "/orders/"+order+"/complete", nil)
	}
}

// record is what was measured. It is safe for concurrent use.
type record struct {
	mu  sync.Mutex
	all map[string]*operation // by name
}

type operation struct {
	took   []time.Duration // of successes
	failed map[string]int  // by error
}

type totals struct{ succeeded, failed int }

func (r *record) add(name string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.all[name]
	if o == nil {
		o = &operation{failed: map[string]int{}}
		r.all[name] = o
	}
	if err == nil {
		o.took = append(o.took, took)
		return
	}
	o.failed[err.Error()]++
}

func (r *record) sum() (t totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.all {
		t.succeeded += len(o.took)
		for _, n := range o.failed {
			t.failed += n
		}
	}
	return t
}

// print prints a table of quantiles, and a histogram of all successes.
func (r *record) print(out io.Writer, lasted time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(out, "\n%-28s %8s %8s %9s %9s %9s %9s\n", "", "count", "per s", "p50", "p90", "p99", "slowest")
	var all []time.Duration
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		o := r.all[name]
		slices.Sort(o.took)
		all = append(all, o.took...)
		fmt.Fprintf(out, "%-28s %8d %8.1f %9s %9s %9s %9s\n", name, len(o.took), float64(len(o.took))/lasted.Seconds(),
			quantile(o.took, 0.5), quantile(o.took, 0.9), quantile(o.took, 0.99), quantile(o.took, 1))
		for _, err := range slices.Sorted(maps.Keys(o.failed)) {
			fmt.Fprintf(out, "  failed %d times: %.200s\n", o.failed[err], err)
		}
	}
	printHistogram(out, all)
}

// quantile returns the q-quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

const barWidth = 50

// printHistogram prints a bar for each doubling of the duration.
func printHistogram(out io.Writer, took []time.Duration) {
	counts := map[int]int{} // by the power of two above, in ms
	most, first, last := 0, 64, 0
	for _, d := range took {
		power := 0
		for limit := time.Millisecond; d > limit; limit *= 2 {
			power++
		}
		counts[power]++
		most, first, last = max(most, counts[power]), min(first, power), max(last, power)
	}
	fmt.Fprintln(out)
	for power := first; power <= last; power++ {
		fmt.Fprintf(out, "≤ %8s %8d %s\n", time.Millisecond<<power, counts[power],
			strings.Repeat("█", (counts[power]*barWidth+most-1)/most))
	}
}
