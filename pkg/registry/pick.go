package registry

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// notAvailable carries the name of the service nobody serves.
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

// Base is URL parsed, which would cost each call more than choosing the instance does. All leases share it: copy it
// before changing it.
func (l Lease) Base() *url.URL { return l.inst.base }

// Done ends the lease and tells what became of the call and how long it took; call it exactly once. A Failure
// weighs against the instance and, repeated, ejects it. An Ignore says nothing but that it took at least d.
func (l Lease) Done(outcome breaker.Outcome, d time.Duration) {
	l.inst.inFlight.Add(-1)
	now := time.Now()
	if l.inst.observe(outcome, d, now) && l.pool.eject(l.inst, now) {
		l.reg.wakeChecker()
	}
}

// BackOff has the instance avoided for d, while another can be had: it works, and has turned a call away.
func (l Lease) BackOff(d time.Duration) {
	l.inst.avoidedEnd.Store(time.Now().Add(d).UnixNano())
}

// Pick leases an instance of service name for one call, avoiding the URLs in not when another can be had, be it one
// that reports itself unhealthy. While all are known to be unhealthy it still picks one: the call is the
// fresher check, and the caller's breaker bounds the attempts. Its error, for a service without instances, matches ErrNotAvailable. It does not block, but for the first
// look-up of a name that was not configured (≤ 1 s).
func (r *Registry) Pick(name string, not ...string) (Lease, error) {
	p := r.find(name)
	if p == nil {
		return Lease{}, notAvailable(name)
	}
	now := time.Now()
	inst := p.pick(not, now)
	if inst == nil || slices.Contains(not, inst.url) {
		// An instance that reports unhealthy is at least alive; prefer it to one that just failed.
		if other := p.among(sick, now, func(i *instance) bool { return !slices.Contains(not, i.url) }); other != nil {
			inst = other
		}
	}
	if inst == nil {
		inst = p.among(unwell, now, func(*instance) bool { return true })
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

// Another reports whether service name has an instance that is not in not and, when it was last checked, answered.
func (r *Registry) Another(name string, not ...string) bool {
	p := r.find(name)
	return p != nil && slices.ContainsFunc(p.all(), func(i *instance) bool {
		return rankOf(i) > unwell && !slices.Contains(not, i.url)
	})
}

// pick chooses among the best usable instances: first among those neither tried nor ejected, then among all.
func (p *pool) pick(not []string, now time.Time) *instance {
	ejection := !panicking(p.all(), now)
	inst := p.among(lastResort, now, func(i *instance) bool {
		return !slices.Contains(not, i.url) && !(ejection && i.ejected(now)) && !i.avoided(now)
	})
	if inst == nil {
		inst = p.among(lastResort, now, func(*instance) bool { return true })
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

// panicking reports that less than half of the found instances is available, so that ejecting would only move the
// whole load onto the few that are left.
func panicking(members []*instance, now time.Time) bool {
	size, available := 0, 0
	for _, i := range members {
		if i.origin() == standby || i.is(Foreign) {
			continue
		}
		size++
		if rankOf(i) > sick && !i.ejected(now) {
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
	foreigner  rank = iota
	unwell          // did not answer its health check
	sick            // answered it, and that it is unhealthy
	lastResort      // standby
	unproven        // not checked yet
	proven
)

func rankOf(i *instance) rank {
	switch {
	case i.is(Foreign):
		return foreigner
	case i.is(Unhealthy) && i.ailing.Load():
		return sick
	case i.is(Unhealthy):
		return unwell
	case i.origin() == standby:
		return lastResort
	case i.is(Unknown):
		return unproven
	default:
		return proven
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
