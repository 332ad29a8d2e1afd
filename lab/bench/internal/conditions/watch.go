package conditions

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	interval = 2 * time.Second
	named    = 5 // others that are listed
)

// Watch observes the machine until its Stop.
type Watch struct {
	servers map[int]bool // processes of the servers under test
	load    string       // at the start
	began   machineTicks
	last    map[int]process

	own, served int64
	others      map[string]int64

	stop chan struct{}
	done sync.WaitGroup
}

// Begin starts to observe. The processes named by servers, and their children,
// count as part of what is measured.
func Begin(servers ...int) *Watch {
	w := &Watch{
		servers: map[int]bool{}, others: map[string]int64{}, stop: make(chan struct{}),
		load: load(), began: readMachine(), last: processes(),
	}
	for _, pid := range servers {
		w.servers[pid] = true
	}
	w.done.Go(w.run)
	return w
}

func (w *Watch) run() {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			w.sample()
			return
		case <-tick.C:
			w.sample()
		}
	}
}

// sample adds what every process has used since the last sample. What lived
// only in between is missed here, but not in the machine's total.
func (w *Watch) sample() {
	now := processes()
	for pid, p := range now {
		used := p.ticks - w.last[pid].ticks
		switch {
		case used <= 0:
		case pid == os.Getpid() || p.parent == os.Getpid():
			w.own += used
		case w.servers[pid] || w.servers[p.parent]:
			w.served += used
		default:
			w.others[p.name] += used
		}
	}
	w.last = now
}

// Summary is what was observed.
type Summary struct {
	// Text is one sentence without names.
	Text string
	// Others names the other programs that ran, those with the most time
	// first.
	Others string
	// Disturbed is the share of the processors' time that other programs and
	// other machines took, 0 to 1; 0 where it is not known.
	Disturbed float64
}

// Stop ends the observation.
func (w *Watch) Stop() Summary {
	close(w.stop)
	w.done.Wait()
	end := readMachine()
	all := end.all - w.began.all
	if all <= 0 {
		return Summary{Text: fmt.Sprintf("%d processors; what else ran is not known on this system", runtime.NumCPU())}
	}
	share := func(ticks int64) float64 { return 100 * float64(ticks) / float64(all) }
	busy := end.busy - w.began.busy
	rest := max(busy-w.own-w.served, 0)
	return Summary{
		Text: fmt.Sprintf("%d processors, load average %s before and %s after; of their time this program and what it started took %.0f %%, "+
			"the two servers %.0f %%, other programs %.0f %%, other machines on the host %.0f %%",
			runtime.NumCPU(), w.load, load(), share(w.own), share(w.served), share(rest), share(end.stolen-w.began.stolen)),
		Others:    w.names(share),
		Disturbed: share(rest+end.stolen-w.began.stolen) / 100,
	}
}

func (w *Watch) names(share func(int64) float64) string {
	var names []string
	for name := range w.others {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(w.others[b] - w.others[a]) })
	var text []string
	for _, name := range names[:min(len(names), named)] {
		text = append(text, fmt.Sprintf("%s %.1f %%", name, share(w.others[name])))
	}
	return strings.Join(text, ", ")
}
