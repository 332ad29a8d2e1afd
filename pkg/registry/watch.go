package registry

import "time"

// WatchInterval is how often the instances of a watched service are checked.
const WatchInterval = 500 * time.Millisecond

// watch is a caller waiting for a service to come back.
type watch struct{ onHealthy func() }

// Watch checks the instances of service name every WatchInterval until stop is called, and calls onHealthy, which
// must neither block nor use the registry, for each that passes its check, and for each that is new. It needs Run.
func (r *Registry) Watch(name string, onHealthy func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, w := r.pool(name), &watch{onHealthy}
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

// notifyWatches calls the watches.
func (p *pool) notifyWatches() {
	for w := range p.watches {
		w.onHealthy()
	}
}
