package registry

import (
	"math"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

const (
	memory       = 1500 * time.Millisecond // time constant of the latency average, and in which failures are forgiven
	successStep  = 0.2                     // weight of one outcome in the success rate
	worstSuccess = 0.2
	latencyFloor = float64(5 * time.Millisecond) // differences below are noise of schedulers and collectors

	ejectAfter         = 5 // consecutive failures
	ejectFor           = 10 * time.Second
	ejectMax           = 6           // ejections after which the time grows no more
	ejectionsForgotten = time.Minute // time without an ejection after which earlier ones are forgotten
)

// Health is what health checks say of an instance.
type Health string

// Values of Health.
const (
	Unknown   Health = "unknown"   // not checked yet
	Healthy   Health = "healthy"   // answered its latest check
	Unhealthy Health = "unhealthy" // did not, or reported that it is unhealthy
	Foreign   Health = "foreign"   // answered as another service; never called

	unreachable Health = "unreachable" // Unhealthy, without an answer
)

func (h Health) public() Health {
	if h == unreachable {
		return Unhealthy
	}
	return h
}

// Instance is what the registry believes of one instance at one moment.
type Instance struct {
	URL      string
	Health   Health
	Ejected  bool // kept out after consecutive failures
	Listed   bool // in the latest answer of DNS or Redis; always true for configured and hand-registered ones
	Standby  bool // configured, used only while no found instance is usable
	InFlight int  // leases not yet done
}

// instance is one address of a service, with the results of calls and checks. The mutex of the registry guards it.
type instance struct {
	url        string
	healthPath string

	fixed   bool // configured as static, or registered by hand: never dropped
	reserve bool // configured beside DNS or Redis: never dropped, and used while nothing found is usable
	found   bool // by DNS or Redis
	missing bool // found once, but no longer listed

	health    Health
	checking  bool
	nextCheck time.Time

	inFlight     int
	ejectedUntil time.Time
	avoidedUntil time.Time // it asked for a pause

	latency   float64 // ns; 0 = never measured
	success   float64 // 0..1
	observed  time.Time
	failures  int // consecutive
	ejections int // recent
}

func (i *instance) standsBy() bool             { return !i.fixed && !i.found }
func (i *instance) ejected(now time.Time) bool { return now.Before(i.ejectedUntil) }

func (i *instance) snapshot(now time.Time) Instance {
	return Instance{
		URL: i.url, Health: i.health.public(), Ejected: i.ejected(now), Listed: !i.missing,
		Standby: i.standsBy(), InFlight: i.inFlight,
	}
}

// cost is that of a call as learnt from earlier ones, 0 when there were none. What was learnt fades with time, so that
// an instance that was slow or failing is tried again. The fourth power of the success rate keeps calls away from an
// instance that fails fast and so has few in flight.
func (i *instance) cost(now time.Time) float64 {
	if i.observed.IsZero() {
		return 0
	}
	remaining := i.remaining(now)
	return max(i.latency*remaining, latencyFloor) / math.Pow(i.successRate(remaining), 4)
}

// observe learns from a finished call and reports whether the instance has now failed often enough to be ejected.
// Of a call that did not succeed, only that the latency is at least d is known.
func (i *instance) observe(outcome breaker.Outcome, d time.Duration, now time.Time) bool {
	remaining := i.remaining(now)
	i.latency *= remaining
	switch sample := float64(d); {
	case sample > i.latency: // a peak counts in full
		i.latency = sample
	case outcome == breaker.Success:
		i.latency += sample * (1 - remaining)
	}
	i.success = i.successRate(remaining)
	switch outcome {
	case breaker.Success:
		i.success += (1 - i.success) * successStep
		i.failures = 0
	case breaker.Failure:
		i.success = max(i.success*(1-successStep), worstSuccess)
		i.failures++
	}
	i.observed = now
	return outcome == breaker.Failure && i.failures >= ejectAfter
}

// successRate forgives failures, given how much is left of the latest observation.
func (i *instance) successRate(remaining float64) float64 { return 1 - (1-i.success)*remaining }

// remaining is the part, 0..1, that is left of the latest observation.
func (i *instance) remaining(now time.Time) float64 {
	return math.Exp(-float64(now.Sub(i.observed)) / float64(memory))
}

// eject keeps the instance out for a while, and has it checked at once.
func (i *instance) eject(now time.Time) {
	if now.Sub(i.ejectedUntil) > ejectionsForgotten {
		i.ejections = 0
	}
	i.ejections = min(i.ejections+1, ejectMax)
	i.failures = 0
	i.ejectedUntil = now.Add(time.Duration(i.ejections) * ejectFor)
	i.nextCheck = time.Time{}
}

// renew forgets earlier calls: the instance is back, or another is at its address.
func (i *instance) renew() {
	i.latency, i.success, i.failures, i.observed = 0, 1, 0, time.Time{}
	i.ejectedUntil = time.Time{}
}
