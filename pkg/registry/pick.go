package registry

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// notAvailable is the error for a service without instances, by its name.
type notAvailable string

func (n notAvailable) Error() string        { return "service " + string(n) + " not available" }
func (n notAvailable) Is(target error) bool { return target == ErrNotAvailable }

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
	l.inst.inFlight.Add(-1)
	now := time.Now()
	if l.inst.observe(outcome, d, now) && l.pool.eject(l.inst, now) {
		l.reg.wakeChecker()
	}
}

// BackOff avoids the instance for d while there is another: it works, but refused a call.
func (l Lease) BackOff(d time.Duration) {
	l.inst.avoidedEnd.Store(time.Now().Add(d).UnixNano())
}

// Pick leases an instance of service name for one call. It avoids the excluded URLs while it
// has another instance, even one reporting itself unhealthy. While all are known to be
// unhealthy it still picks one: the call is the fresher check, and the caller's breaker
// bounds the attempts. Its error, for a service without instances, matches ErrNotAvailable.
// It does not block, but for the first look-up of a name that was not configured (≤ 1 s).
func (r *Registry) Pick(name string, exclude ...string) (Lease, error) {
	p := r.find(name)
	if p == nil {
		return Lease{}, notAvailable(name)
	}
	now := time.Now()
	inst := p.pick(exclude, now)
	if inst == nil || slices.Contains(exclude, inst.url) {
		// An instance that reports unhealthy is at least alive; prefer it to one that just failed.
		if other := p.among(rankUnhealthy, now, func(i *instance) bool { return !slices.Contains(exclude, i.url) }); other != nil {
			inst = other
		}
	}
	if inst == nil {
		inst = p.among(rankUnreachable, now, func(*instance) bool { return true })
	}
	if inst == nil {
		return Lease{}, notAvailable(name)
	}
	inst.inFlight.Add(1)
	return Lease{URL: inst.url, reg: r, pool: p, inst: inst}, nil
}

// GetService returns the base URL, without a trailing slash, of an instance of service name that is not known to be
// unhealthy, chosen as Pick does but not counted as a call in flight. Its error matches ErrNotAvailable.
func (r *Registry) GetService(name string) (string, error) {
	if p := r.find(name); p != nil {
		if inst := p.pick(nil, time.Now()); inst != nil {
			return inst.url, nil
		}
	}
	return "", notAvailable(name)
}

// Another reports whether service name has an instance that is not excluded and responded to its last check.
func (r *Registry) Another(name string, exclude ...string) bool {
	p := r.find(name)
	return p != nil && slices.ContainsFunc(p.all(), func(i *instance) bool {
		return rankOf(i) > rankUnreachable && !slices.Contains(exclude, i.url)
	})
}

// pick chooses among the best usable instances: first among those neither tried nor ejected, then among all.
func (p *pool) pick(exclude []string, now time.Time) *instance {
	ejection := !mostlyUnavailable(p.all(), now)
	inst := p.among(rankStandby, now, func(i *instance) bool {
		return !slices.Contains(exclude, i.url) && !(ejection && i.ejected(now)) && !i.avoided(now)
	})
	if inst == nil {
		inst = p.among(rankStandby, now, func(*instance) bool { return true })
	}
	return inst
}

// among is the power of two choices (Mitzenmacher 2001) among those of the highest rank, at least the given one, that
// pass; nil when none does.
func (p *pool) among(least rank, now time.Time, pass func(*instance) bool) *instance {
	a, b := draw(p.all(), least, pass)
	if b == nil {
		return a
	}
	return cheaper(a, b, now)
}

// mostlyUnavailable reports whether less than half of the found instances is available, so that ejecting would only move the
// whole load onto the few that are left.
func mostlyUnavailable(members []*instance, now time.Time) bool {
	size, available := 0, 0
	for _, i := range members {
		if i.origin() == standby || i.is(Foreign) {
			continue
		}
		size++
		if rankOf(i) > rankUnhealthy && !i.ejected(now) {
			available++
		}
	}
	return available*2 < size
}

// draw takes two members at random, in random order, among those of the highest rank that pass; b, or both, are nil
// when there are fewer.
func draw(members []*instance, least rank, pass func(*instance) bool) (a, b *instance) {
	best, n := least, 0
	for _, i := range members {
		rank := rankOf(i)
		if rank < best || !pass(i) {
			continue
		}
		if rank > best {
			best, n, a, b = rank, 0, nil, nil
		}
		n++
		switch reservoir(n) {
		case 0:
			a = i
		case 1:
			b = i
		}
	}
	if b != nil && rand.IntN(2) == 0 {
		a, b = b, a
	}
	return a, b
}

// reservoir returns where to keep the n-th of a stream of which two are kept: 0, 1, or beyond for nowhere.
func reservoir(n int) int {
	if n <= 2 {
		return n - 1
	}
	return rand.IntN(n)
}

type rank int

const (
	rankForeign     rank = iota
	rankUnreachable      // did not answer its health check
	rankUnhealthy        // answered it, and that it is unhealthy
	rankStandby          // standby
	rankUnchecked        // not checked yet
	rankHealthy
)

func rankOf(i *instance) rank {
	switch {
	case i.is(Foreign):
		return rankForeign
	case i.is(Unhealthy) && i.reportsUnhealthy.Load():
		return rankUnhealthy
	case i.is(Unhealthy):
		return rankUnreachable
	case i.origin() == standby:
		return rankStandby
	case i.is(Unknown):
		return rankUnchecked
	default:
		return rankHealthy
	}
}

// cheaper compares learnt cost times calls in flight plus one; a wins a tie.
func cheaper(a, b *instance, now time.Time) *instance {
	wa, wb := a.weight(now), b.weight(now)
	if alike(wa, wb) {
		wa, wb = 1, 1
	}
	if wb*float64(b.inFlight.Load()+1) < wa*float64(a.inFlight.Load()+1) {
		return b
	}
	return a
}

// alike reports costs within a factor of two of each other; an instance never measured is like any other.
func alike(a, b float64) bool {
	return a == 0 || b == 0 || (a <= 2*b && b <= 2*a)
}
