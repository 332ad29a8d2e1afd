package breaker

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Config configures a breaker. The zero value of each field means its default.
type Config struct {
	// Failures is the number of consecutive failures that open the breaker; default 5.
	Failures int `env:"BREAKER_FAILURES" envDefault:"5" validate:"min=1,max=1000"`
	// Cooldown is the time from opening to the first trial; default 60 s.
	Cooldown time.Duration `env:"BREAKER_COOLDOWN" envDefault:"60s" validate:"min=100ms,max=1h"`

	Jitter     float64       // up to this share is added to each cooldown at random; default 0.2, negative for none
	TrialLease time.Duration // how long one trial may block others; default Cooldown, at least 1 s

	// Rate opens the breaker also at this share of failures among at least 20 calls in
	// 10 s, e.g. 0.5; 0 is off.
	Rate float64

	// Classify returns the outcome of a call by its error; the default is [Classify]. It
	// must be safe for concurrent use.
	Classify func(error) Outcome
}

func (c Config) withDefaults() Config {
	c.Failures = cmp.Or(c.Failures, 5)
	c.Cooldown = cmp.Or(c.Cooldown, 60*time.Second)
	c.Jitter = max(cmp.Or(c.Jitter, 0.2), 0)
	c.TrialLease = cmp.Or(c.TrialLease, max(c.Cooldown, time.Second))
	if c.Classify == nil {
		c.Classify = Classify
	}
	return c
}

// Breaker guards the calls to one dependency. Make it with [New]; it is safe for
// concurrent use and needs no closing.
type Breaker struct {
	name string
	cfg  Config

	mu         sync.Mutex
	generation uint64 // a new one for each state and each trial
	state      State
	failures   int       // in a row, while closed
	until      time.Time // open: end of the cooldown; half-open: end of the trial's lease
	window     window    // used with a rate rule only

	listeners []func(Transition)
	pending   []Transition // for the listeners
	notifying bool         // a goroutine is notifying them
}

// New returns a closed breaker. The name appears in errors and transitions.
func New(name string, cfg Config) *Breaker {
	return &Breaker{name: name, cfg: cfg.withDefaults()}
}

// State returns the present state: HALF_OPEN as soon as the cooldown has passed,
// even before a trial begins.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open && !time.Now().Before(b.until) {
		return HalfOpen
	}
	return b.state
}

// Cooldown returns the time until the next call is a trial, 0 unless the breaker is open.
func (b *Breaker) Cooldown() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Open {
		return 0
	}
	return max(time.Until(b.until), 0)
}

// Do calls fn with ctx and returns its error, or refuses with an [*OpenError]. A
// panic or [runtime.Goexit] in fn passes through and counts as a failure.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	generation, err := b.admit()
	if err != nil {
		return err
	}
	outcome := Failure // stands unless fn returns
	defer func() { b.report(generation, outcome) }()
	err = fn(ctx)
	outcome = b.cfg.Classify(err)
	return err
}

// EndCooldown makes the next call a trial, if the breaker is open: something else has
// shown that the dependency may work again.
func (b *Breaker) EndCooldown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open {
		b.until = time.Now()
	}
}

// OnTransition adds a listener. Listeners get every change, in order, one at a
// time and outside of all locks; they may use the breaker. The call that causes a
// change, or one that is notifying earlier ones, waits for them: they should be quick.
func (b *Breaker) OnTransition(listener func(Transition)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners = append(b.listeners, listener)
}

// admit returns the generation that the call belongs to, or the refusal.
func (b *Breaker) admit() (uint64, error) {
	b.mu.Lock()
	defer b.unlock()
	if b.state == Closed {
		return b.generation, nil
	}
	now := time.Now()
	if wait := b.until.Sub(now); wait > 0 {
		if b.state == HalfOpen { // the trial may succeed any moment
			wait = min(wait, time.Second)
		}
		return 0, &OpenError{Name: b.name, RetryAfter: wait}
	}
	b.enter(HalfOpen, now)
	b.until = now.Add(b.cfg.TrialLease)
	return b.generation, nil
}

// report takes the outcome of a call that was admitted in the given generation.
func (b *Breaker) report(generation uint64, outcome Outcome) {
	b.mu.Lock()
	defer b.unlock()
	now := time.Now()
	switch {
	case generation != b.generation: // too late
	case b.state == Closed:
		b.count(outcome, now)
	case outcome == Success:
		b.enter(Closed, now)
	case outcome == Failure:
		b.open(now)
	case outcome == Ignore:
		b.until = now // the next call is a trial
	}
}

// count adds the outcome of a call in the closed state.
func (b *Breaker) count(outcome Outcome, now time.Time) {
	switch outcome {
	case Success:
		b.failures = 0
	case Failure:
		b.failures++
	case Ignore:
		return
	}
	tooMany := b.cfg.Rate > 0 && b.window.add(now, outcome == Failure) >= b.cfg.Rate
	if tooMany || b.failures >= b.cfg.Failures {
		b.open(now)
	}
}

func (b *Breaker) open(now time.Time) {
	b.enter(Open, now)
	jitter := rand.Float64() * b.cfg.Jitter * float64(b.cfg.Cooldown)
	b.until = now.Add(b.cfg.Cooldown + time.Duration(jitter))
}

// enter begins a new generation, in a new state or, for a further trial, in the same.
func (b *Breaker) enter(state State, now time.Time) {
	if state != b.state {
		b.pending = append(b.pending, Transition{Name: b.name, From: b.state, To: state, At: now})
	}
	b.generation++
	b.state, b.failures = state, 0
	b.window = window{}
}

// unlock notifies the listeners, then releases the lock. One goroutine at a time notifies
// them of all changes: that keeps the order, and a listener may use the breaker.
func (b *Breaker) unlock() {
	defer b.mu.Unlock()
	if b.notifying {
		return
	}
	b.notifying = true
	defer func() { b.notifying = false }()
	for len(b.pending) > 0 {
		next := b.pending[0]
		b.pending = b.pending[1:]
		b.notify(next, b.listeners)
	}
}

// notify calls the listeners without the lock, and holds it again even if one panics.
func (b *Breaker) notify(t Transition, listeners []func(Transition)) {
	b.mu.Unlock()
	defer b.mu.Lock()
	for _, listener := range listeners {
		listener(t)
	}
}
