package registry

import (
	"math"
	"sync"
	"sync/atomic"
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

// origin is how an instance came to be known; the lower wins when there are two.
type origin int32

const (
	byHand  origin = iota // configured as static, or registered: never dropped
	found                 // by DNS or Redis
	standby               // configured beside DNS or Redis: used while nothing found is usable
)

// Health is what health checks say of an instance.
type Health string

// Values of Health.
const (
	Unknown   Health = "unknown"   // not checked yet
	Healthy   Health = "healthy"   // answered its latest check
	Unhealthy Health = "unhealthy" // did not
	Foreign   Health = "foreign"   // answered as another service; never called
)

// instance is one address of a service and what calls and checks taught about it.
type instance struct {
	url     string
	reserve bool                   // configured beside DNS or Redis
	health  atomic.Pointer[string] // path of the health check
	from    atomic.Int32           // origin
	missing atomic.Bool            // no longer listed by the resolver

	state            atomic.Pointer[Health]
	checking         atomic.Bool
	nextCheck        atomic.Int64 // unix ns
	reportsUnhealthy atomic.Bool  // it answered its latest check, and that it is not well

	inFlight   atomic.Int64
	ejectedEnd atomic.Int64 // unix ns
	avoidedEnd atomic.Int64 // unix ns; it asked for a pause

	mu        sync.Mutex
	latency   float64 // ns; 0 = never measured
	success   float64 // 0..1
	observed  time.Time
	failures  int // consecutive
	ejections int // recent
}

func newInstance(e endpoint, from origin) *instance {
	inst := &instance{url: e.url, reserve: from == standby, success: 1}
	inst.health.Store(&e.health)
	inst.from.Store(int32(from))
	inst.setState(Unknown)
	return inst
}

func (i *instance) origin() origin             { return origin(i.from.Load()) }
func (i *instance) setState(h Health)          { i.state.Store(&h) }
func (i *instance) is(h Health) bool           { return *i.state.Load() == h }
func (i *instance) ejected(now time.Time) bool { return now.UnixNano() < i.ejectedEnd.Load() }

func (i *instance) avoided(now time.Time) bool { return now.UnixNano() < i.avoidedEnd.Load() }

func (i *instance) snapshot(now time.Time) Instance {
	return Instance{
		URL:      i.url,
		Health:   *i.state.Load(),
		Ejected:  i.ejected(now),
		Listed:   !i.missing.Load(),
		Standby:  i.origin() == standby,
		InFlight: int(i.inFlight.Load()),
	}
}

// weight is the cost of a call as learnt from earlier ones, 0 when there were none. What was learnt fades with
// time, so that an instance that was slow or failing is tried again. The fourth power of the success rate keeps calls
// away from who fails fast and so has little in flight.
func (i *instance) weight(now time.Time) float64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.observed.IsZero() {
		return 0
	}
	if i.success == 1 && i.latency <= latencyFloor {
		return latencyFloor // whatever has faded since
	}
	kept := i.fade(now)
	square := i.forgiven(kept) * i.forgiven(kept)
	return max(i.latency*kept, latencyFloor) / (square * square)
}

// observe learns from a finished call and reports whether the instance has now failed often enough to be ejected.
// A call that did not succeed tells only that the latency is at least d.
func (i *instance) observe(outcome breaker.Outcome, d time.Duration, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	kept := i.fade(now)
	i.observeLatency(float64(d), outcome == breaker.Success, kept)
	i.success = i.forgiven(kept)
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

func (i *instance) observeLatency(sample float64, whole bool, kept float64) {
	switch faded := i.latency * kept; {
	case sample > faded: // a peak counts in full
		i.latency = sample
	case whole:
		i.latency = faded + sample*(1-kept)
	default:
		i.latency = faded
	}
}

// forgiven is the success rate, given how much is left of the latest observation.
func (i *instance) forgiven(kept float64) float64 { return 1 - (1-i.success)*kept }

// fade is the part, 0..1, that is left of the latest observation.
func (i *instance) fade(now time.Time) float64 {
	return math.Exp(-float64(now.Sub(i.observed)) / float64(memory))
}

func (i *instance) eject(now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now.UnixNano()-i.ejectedEnd.Load() > int64(ejectionsForgotten) {
		i.ejections = 0
	}
	i.ejections = min(i.ejections+1, ejectMax)
	i.failures = 0
	i.ejectedEnd.Store(now.Add(time.Duration(i.ejections) * ejectFor).UnixNano())
	i.checkSoon(now)
}

// renew forgets what calls taught: what answers at this address now has come back.
func (i *instance) renew() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.latency, i.success, i.failures, i.observed = 0, 1, 0, time.Time{}
	i.ejectedEnd.Store(0)
}

func (i *instance) checkSoon(now time.Time) { i.nextCheck.Store(now.UnixNano()) }
