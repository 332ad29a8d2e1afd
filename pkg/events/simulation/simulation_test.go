package simulation

import (
	"cmp"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	histories = flag.Int("histories", 1_000, "number of histories")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history; with one history its trace is printed")
)

const (
	keys  = 4
	chaos = 5 * time.Second  // of faults
	limit = 30 * time.Second // until all has settled
)

// TestSimulation runs histories, and prints the seed of one that ends badly.
func TestSimulation(t *testing.T) {
	began, steps := time.Now(), int64(0)
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		fault, n := history(seed, nil)
		steps += n
		if fault != "" {
			var trace strings.Builder
			history(seed, &trace)
			t.Fatalf("history %d, seed %d: %s\n%s", i+1, seed, fault, trace.String())
		}
	}
	t.Logf("%d histories, %d steps, %.0f histories a minute", *histories, steps, float64(*histories)/time.Since(began).Minutes())
}

// history returns what is wrong at its end, and the steps that it took.
func history(seed uint64, trace *strings.Builder) (fault string, steps int64) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	w := newWorld(seed, trace)
	defer w.end()
	w.plan()
	w.until(chaos)
	w.calm()
	for end := w.now + limit; ; {
		if fault = w.rest(); fault == "" {
			return cmp.Or(w.check(), w.checkErased()), w.steps
		}
		if w.now > end {
			return "stands still: " + fault, w.steps
		}
	}
}

// rest lets time pass, and returns what keeps the system from having come to rest.
func (w *system) rest() string {
	w.until(w.now + 250*time.Millisecond)
	if left := w.unsettled(); left != "" {
		return left
	}
	// It may still be unaware of something, such as a stream with what is no more.
	w.pages = 0
	w.until(w.now + 1500*time.Millisecond)
	if w.pages > 2*len(w.producer.state.parts) {
		return fmt.Sprintf("%d pages are read in silence", w.pages)
	}
	return w.unsettled()
}

// plan draws what will happen.
func (w *system) plan() {
	w.faulty = true
	for n := 4 + w.random.IntN(30); n > 0; n-- {
		key := w.random.IntN(keys)
		w.after(w.self, w.moment(), func() { w.publish(key, w.anyType()) })
	}
	// Few kinds of faults, often: what goes wrong does so when they meet (Groce et al.,
	// Swarm Testing, 2012).
	kinds := w.random.Perm(len(faults))[:1+w.random.IntN(5)]
	for n := w.random.IntN(8); n >= 0; n-- {
		w.after(w.self, w.moment(), func() { faults[kinds[w.random.IntN(len(kinds))]](w) })
	}
	switch w.random.IntN(4) {
	case 0:
		w.odds.crash = 1 + w.random.IntN(5)
	case 1:
		w.odds.freeze = 1
	case 2:
		w.odds.fail = 1 + w.random.IntN(50)
		w.odds.again = w.random.IntN(50)
	}
}

func (w *system) moment() time.Duration { return time.Duration(w.random.Int64N(int64(chaos))) }

// unsettled returns what is left to do.
func (w *system) unsettled() string {
	s, c := &w.producer.state, &w.consumer.state
	switch {
	case len(s.outbox) > 0:
		return "events wait in the outbox"
	case len(c.keys) > 0:
		return "events are parked"
	}
	for i := range s.parts {
		p := &s.parts[i]
		if o := c.offset(p.Number); o == nil || o.Position != p.Head {
			return fmt.Sprintf("offset of part %d is %+v, the log's head %+v", p.Number, o, p.Head)
		}
		if slices.ContainsFunc(p.rows, func(r logRow) bool { return r.erases }) {
			return "an erasure is due"
		}
		st := w.redis.byPart[p.Number]
		if !p.Closed && p.Len() > 0 && (st == nil || st.foreign || len(st.entries) == 0 || st.entries[len(st.entries)-1].Position != p.Head) {
			return fmt.Sprintf("stream of part %d does not end with the log's head", p.Number)
		}
	}
	return ""
}

// check compares what was applied with what was published.
func (w *system) check() string {
	applied := w.consumer.state.applied
	for i, n := range applied {
		if slices.Contains(applied[:i], n) && !w.forgiven[n] {
			return fmt.Sprintf("%d was applied twice: %v", n, applied)
		}
	}
	last := map[int]int{}
	for _, n := range w.producer.state.published {
		e := w.events[n]
		at := slices.Index(applied, n)
		switch {
		case !e.handled(), w.trimmed[n], at < 0 && w.erased[n]:
			continue
		case at < 0:
			return fmt.Sprintf("%d was not applied: %v", n, applied)
		case w.stayed[n]:
			continue
		case at+1 < last[e.key]:
			return fmt.Sprintf("%d was applied after a later one of its key: %v", n, applied)
		}
		last[e.key] = at + 1
	}
	return ""
}

// checkErased looks for personal data in front of an event that ended its key.
func (w *system) checkErased() string {
	over := map[int]bool{} // keys that a later event ends
	parts := slices.SortedFunc(slices.Values(w.producer.state.parts), func(a, b logPart) int {
		return cmp.Compare(b.Layout, a.Layout)
	})
	for _, p := range parts {
		for _, row := range slices.Backward(p.rows) {
			e := w.events[row.event]
			if over[e.key] && e.personal() && !row.redacted {
				return fmt.Sprintf("%d is not redacted", row.event)
			}
			over[e.key] = over[e.key] || e.name == ended.Name()
		}
	}
	return ""
}

func TestSameSeedIsTheSameHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		var first, second strings.Builder
		history(seed, &first)
		if history(seed, &second); first.String() != second.String() {
			t.Fatalf("seed %d: %s\nthen %s", seed, first.String(), second.String())
		}
	}
}
