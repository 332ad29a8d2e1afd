package serviceclient

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceauth"
)

const (
	backoffBase   = 25 * time.Millisecond
	backoffCap    = time.Second
	retryAfterCap = 5 * time.Second
)

// plan is the decision after a failed attempt.
type plan struct {
	again bool
	wait  time.Duration
}

// plan decides whether to repeat the call after the failed attempt e.
func (c *Client) plan(ctx context.Context, call *call, e *Error) plan {
	if c.resign(call, e) {
		return plan{again: true}
	}
	failed := e.outcome == breaker.Failure || e.refused
	mayRepeat := call.repeatable || e.undelivered
	if !failed || !mayRepeat || len(call.tried) > c.cfg.Retries {
		return plan{}
	}
	wait, ok := backoff(len(call.tried)), true
	if elsewhere := c.deps.Registry.Another(c.target, call.tried...); elsewhere && e.refused {
		wait = 0
	} else if !elsewhere && (e.refused || e.RetryAfter > 0) { // the same instance, not before Retry-After
		wait, ok = e.RetryAfter, e.RetryAfter > 0 && e.RetryAfter <= retryAfterCap
	}
	if !ok || wait >= time.Until(call.until(ctx)) {
		c.countRefusal(refusedDeadline)
		return plan{}
	}
	if !c.budget.withdraw() {
		c.countRefusal(refusedBudget)
		return plan{}
	}
	return plan{again: true, wait: wait}
}

// resign reports whether to repeat a call whose token was refused under another key, once: nothing was done, and the
// instance may not know the newest key yet.
func (c *Client) resign(call *call, e *Error) bool {
	if e.Code != serviceauth.CodeInvalid || call.resigned || c.deps.Signer == nil ||
		!c.deps.Signer.Refused(c.target, call.user, call.token) {
		return false
	}
	call.resigned = true
	call.tried = call.tried[:len(call.tried)-1]
	return true
}

// backoff is a random wait after the given number of attempts ("full jitter": Brooker, Exponential Backoff And
// Jitter, AWS 2015).
func backoff(attempts int) time.Duration {
	return rand.N(min(backoffBase<<(attempts-1), backoffCap))
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	retryCost    = 10 // calls that pay for one retry
	retryReserve = 20 // most retries saved, also at the start: for the calls in progress on an instance that dies
)

// budget limits retries to a tenth of the calls, after an initial burst. It is safe for concurrent use.
type budget struct{ saved atomic.Int64 }

func newBudget() *budget {
	b := new(budget)
	b.saved.Store(retryCost * retryReserve)
	return b
}

// deposit counts a call.
func (b *budget) deposit() {
	if b.saved.Load() < retryCost*retryReserve {
		b.saved.Add(1)
	}
}

// withdraw takes a retry and reports whether there was one left.
func (b *budget) withdraw() bool {
	if b.saved.Add(-retryCost) >= 0 {
		return true
	}
	b.saved.Add(retryCost)
	return false
}
