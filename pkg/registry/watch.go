package registry

import "time"

// WatchInterval is how often the instances of a watched service are checked.
const WatchInterval = 500 * time.Millisecond

// watch is a caller waiting for a service to come back.
type watch struct{ well func() }

// Watch has the instances of service name checked every WatchInterval until stop is called, and calls well, which must
// neither block nor use the registry, for each that answers its check, and for each that is new. It needs Run.
func (r *Registry) Watch(name string, well func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, w := r.pool(name), &watch{well}
	p.watches[w] = true
	for _, inst := range p.members {
		inst.nextCheck = time.Time{}
	}
	r.wakeChecker()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(p.watches, w)
	}
}

// looksWell calls the watches.
func (p *pool) looksWell() {
	for w := range p.watches {
		w.well()
	}
}
