package registry

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool holds the instances of one service.
type pool struct {
	name    string
	first   sync.Once   // the look-up at first use
	failing atomic.Bool // the latest refresh failed

	// The mutex of the registry guards what follows.

	members   []*instance
	watches   map[*watch]bool
	ejections int
	refused   int // entries of the registry

	refusalLogged time.Time
}

// put returns the member at e's URL, a new one if there was none.
func (p *pool) put(e endpoint) *instance {
	i := slices.IndexFunc(p.members, func(inst *instance) bool { return inst.url == e.url })
	if i < 0 {
		inst := &instance{url: e.url, healthPath: e.health, health: Unknown, success: 1}
		p.members = append(p.members, inst)
		p.notifyWatches()
		return inst
	}
	inst := p.members[i]
	inst.healthPath, inst.missing = e.health, false
	return inst
}

// apply takes over a resolver's answer. An empty answer is no news. A withdrawn instance goes at once; one that is
// merely no longer listed stays until a check finds it unhealthy.
func (p *pool) apply(l listing) {
	p.refused += l.refused
	for _, e := range l.live {
		p.put(e).found = true
	}
	p.drop(func(inst *instance) bool { return slices.Contains(l.withdrawn, inst.url) })
	if len(l.live) == 0 {
		return
	}
	for _, inst := range p.members {
		listed := slices.ContainsFunc(l.live, func(e endpoint) bool { return e.url == inst.url })
		if inst.found && !inst.fixed && !inst.missing && !listed {
			inst.missing = true
			inst.nextCheck = time.Time{}
		}
	}
}

// drop forgets the found instances that match; one that is configured as well goes back to standing by.
func (p *pool) drop(match func(*instance) bool) {
	p.members = slices.DeleteFunc(p.members, func(inst *instance) bool {
		if !inst.found || inst.fixed || !match(inst) {
			return false
		}
		inst.found, inst.missing = false, false
		return !inst.reserve
	})
}

// mayEject reports whether inst can be ejected: not if half of the pool already is.
func (p *pool) mayEject(inst *instance, now time.Time) bool {
	size, out := 0, 0
	for _, other := range p.members {
		if other.standsBy() {
			continue
		}
		size++
		if other.ejected(now) {
			out++
		}
	}
	return !inst.ejected(now) && !inst.standsBy() && (out+1)*2 <= size
}
