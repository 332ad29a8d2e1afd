package registry

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// Lease is one call's claim on an instance.
type Lease struct {
	URL string // base URL without a trailing slash

	reg  *Registry
	pool *pool
	inst *instance
}

// Done ends the lease with the outcome and duration of the call; call it exactly once. A
// Failure weighs against the instance and, repeated, ejects it. An Ignore counts only as a
// duration of at least d.
func (l Lease) Done(outcome breaker.Outcome, d time.Duration) {
	l.reg.mu.Lock()
	defer l.reg.mu.Unlock()
	now := time.Now()
	l.inst.inFlight--
	if l.inst.observe(outcome, d, now) && l.pool.mayEject(l.inst, now) {
		l.inst.eject(now)
		l.pool.ejections++
		l.reg.wakeChecker()
	}
}

// BackOff avoids the instance for d while there is another: it works, but refused a call.
func (l Lease) BackOff(d time.Duration) {
	l.reg.mu.Lock()
	defer l.reg.mu.Unlock()
	l.inst.avoidedUntil = time.Now().Add(d)
}

// Pick leases an instance of service name for one call. It avoids the excluded URLs while it
// has another instance, even one reporting itself unhealthy. While all are known to be
// unhealthy it still picks one: the call is the fresher check, and the caller's breaker
// bounds the attempts. Its error, for a service without instances, matches ErrNotAvailable.
// It does not block, but for the first look-up of a name that was not configured (≤ 1 s).
func (r *Registry) Pick(name string, exclude ...string) (Lease, error) {
	p := r.find(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	inst := p.pick(rankUnreachable, exclude, time.Now())
	if inst == nil {
		return Lease{}, notAvailable(name)
	}
	inst.inFlight++
	return Lease{URL: inst.url, reg: r, pool: p, inst: inst}, nil
}

// GetService returns the base URL, without a trailing slash, of an instance of service name that is not known to be
// unhealthy, chosen as Pick does but not counted as a call in flight. Its error matches ErrNotAvailable.
func (r *Registry) GetService(name string) (string, error) {
	p := r.find(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	inst := p.pick(rankStandby, nil, time.Now())
	if inst == nil {
		return "", notAvailable(name)
	}
	return inst.url, nil
}

// Another reports whether service name has an instance that is not excluded and responded to its last check.
func (r *Registry) Another(name string, exclude ...string) bool {
	p := r.find(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(p.members, func(i *instance) bool {
		return i.rank() > rankUnreachable && !slices.Contains(exclude, i.url)
	})
}

// pick returns an instance of at least the given rank, nil if there is none. It prefers one that was not excluded and
// is neither ejected nor avoided, then one that was not excluded and is alive.
func (p *pool) pick(least rank, exclude []string, now time.Time) *instance {
	ejection := !p.mostlyUnavailable(now)
	fresh := func(i *instance) bool { return !slices.Contains(exclude, i.url) }
	candidates := p.best(rankStandby, func(i *instance) bool {
		return fresh(i) && !(ejection && i.ejected(now)) && !now.Before(i.avoidedUntil)
	})
	if len(candidates) == 0 {
		candidates = p.best(max(least, rankUnhealthy), fresh)
	}
	if len(candidates) == 0 {
		candidates = p.best(least, func(*instance) bool { return true })
	}
	switch len(candidates) {
	case 0:
		return nil
	case 1:
		return candidates[0]
	}
	// The power of two choices (Mitzenmacher 2001).
	order := rand.Perm(len(candidates))
	return cheaper(candidates[order[0]], candidates[order[1]], now)
}

// best returns the members of the highest rank, at least the given one, that pass.
func (p *pool) best(least rank, pass func(*instance) bool) (members []*instance) {
	for _, i := range p.members {
		if i.rank() < least || !pass(i) {
			continue
		}
		if i.rank() > least {
			least, members = i.rank(), nil
		}
		members = append(members, i)
	}
	return members
}

// mostlyUnavailable reports whether less than half of the found instances is available, so that ejecting would only
// move the whole load onto the few that are left.
func (p *pool) mostlyUnavailable(now time.Time) bool {
	size, available := 0, 0
	for _, i := range p.members {
		if i.standsBy() || i.health == Foreign {
			continue
		}
		size++
		if i.rank() > rankUnhealthy && !i.ejected(now) {
			available++
		}
	}
	return available*2 < size
}

type rank int

const (
	rankForeign     rank = iota
	rankUnreachable      // did not answer its health check
	rankUnhealthy        // answered it, and that it is unhealthy
	rankStandby
	rankUnchecked
	rankHealthy
)

func (i *instance) rank() rank {
	switch {
	case i.health == Foreign:
		return rankForeign
	case i.health == unreachable:
		return rankUnreachable
	case i.health == Unhealthy:
		return rankUnhealthy
	case i.standsBy():
		return rankStandby
	case i.health == Unknown:
		return rankUnchecked
	default:
		return rankHealthy
	}
}

// cheaper compares learnt cost times calls in flight plus one; a wins a tie. Costs within a factor of two of each other
// count as equal, and an instance never measured is like any other.
func cheaper(a, b *instance, now time.Time) *instance {
	costA, costB := a.cost(now), b.cost(now)
	if costA == 0 || costB == 0 || costA <= 2*costB && costB <= 2*costA {
		costA, costB = 1, 1
	}
	if costB*float64(b.inFlight+1) < costA*float64(a.inFlight+1) {
		return b
	}
	return a
}
