package registry

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool holds the instances of one service. Readers see an immutable list; changes are made under mu.
type pool struct {
	name    string
	first   sync.Once   // the look-up at first use
	failing atomic.Bool // the latest refresh failed; logged once

	ejections atomic.Int64

	watchMu sync.Mutex
	watches map[*watch]bool

	mu      sync.Mutex
	members atomic.Pointer[[]*instance]
}

func newPool(name string) *pool {
	p := &pool{name: name}
	p.members.Store(new([]*instance))
	return p
}

func (p *pool) all() []*instance { return *p.members.Load() }

// add makes e a member, or updates the member at its URL.
func (p *pool) add(e endpoint, from origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(e, from)
}

// put is add with mu held.
func (p *pool) put(e endpoint, from origin) {
	members := p.all()
	i := slices.IndexFunc(members, func(inst *instance) bool { return inst.url == e.url })
	if i < 0 {
		members = append(slices.Clone(members), newInstance(e, from))
		p.members.Store(&members)
		p.looksWell()
		return
	}
	inst := members[i]
	inst.missing.Store(false)
	inst.health.Store(&e.health)
	if from < inst.origin() {
		inst.from.Store(int32(from))
	}
}

// apply takes over a resolver's answer. An empty answer is no news. A withdrawn instance goes at once; one that is
// merely no longer listed stays until a check finds it unhealthy.
func (p *pool) apply(l listing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range l.live {
		p.put(e, found)
	}
	p.remove(func(inst *instance) bool { return slices.Contains(l.withdrawn, inst.url) })
	if len(l.live) == 0 {
		return
	}
	for _, inst := range p.all() {
		listed := slices.ContainsFunc(l.live, func(e endpoint) bool { return e.url == inst.url })
		if inst.origin() == found && !listed && !inst.missing.Swap(true) {
			inst.checkSoon(time.Now())
		}
	}
}

// dropIfGone forgets an instance that is neither listed nor healthy.
func (p *pool) dropIfGone(gone *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(func(inst *instance) bool { return inst == gone && inst.missing.Load() })
}

// remove drops the found instances that match; one that is configured as well goes back to standing by. mu is held.
func (p *pool) remove(match func(*instance) bool) {
	kept := slices.DeleteFunc(slices.Clone(p.all()), func(inst *instance) bool {
		if inst.origin() != found || !match(inst) {
			return false
		}
		inst.missing.Store(false)
		inst.from.Store(int32(standby))
		return !inst.reserve
	})
	if len(kept) < len(p.all()) {
		p.members.Store(&kept)
	}
}

// eject keeps inst out for a while unless half of the pool already is.
func (p *pool) eject(inst *instance, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, out := 0, 0
	for _, other := range p.all() {
		if other.origin() == standby {
			continue
		}
		size++
		if other.ejected(now) {
			out++
		}
	}
	if inst.ejected(now) || inst.origin() == standby || (out+1)*2 > size {
		return false
	}
	inst.eject(now)
	p.ejections.Add(1)
	return true
}
