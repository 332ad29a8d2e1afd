package registry

import "time"

// WatchInterval is how often the instances of a watched service are checked.
const WatchInterval = 500 * time.Millisecond

// watch is somebody who waits for a service to come back.
type watch struct{ well func() }

// Watch has the instances of service name checked every WatchInterval until stop is called, and calls well, which must
// not block, for each that answers its check, and for each that is new. It needs Run.
func (r *Registry) Watch(name string, well func()) (stop func()) {
	p, w := r.pool(name), &watch{well}
	p.watch(w)
	for _, inst := range p.all() {
		inst.checkSoon(time.Now())
	}
	r.wakeChecker()
	return func() { p.unwatch(w) }
}

func (p *pool) watch(w *watch) {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	if p.watches == nil {
		p.watches = map[*watch]bool{}
	}
	p.watches[w] = true
}

func (p *pool) unwatch(w *watch) {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	delete(p.watches, w)
}

func (p *pool) watched() bool {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	return len(p.watches) > 0
}

// looksWell wakes the waiters.
func (p *pool) looksWell() {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	for w := range p.watches {
		w.well()
	}
}
