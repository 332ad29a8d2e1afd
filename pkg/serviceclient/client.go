package serviceclient

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/tracing"
)

// Client calls one target service. It is safe for concurrent use; create one per target and keep it, because it holds
// the breaker, the bulkhead and the retry budget.
type Client struct {
	target   string
	cfg      Config
	deps     Deps
	breaker  *breaker.Breaker
	budget   *budget
	underWay atomic.Int64
}

// New returns a client of the service named target. It makes no connection. It panics when d.Registry is nil.
func New(target string, cfg Config, d Deps) *Client {
	if d.Registry == nil {
		panic("serviceclient: New without a Registry")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Transport == nil {
		d.Transport = sharedTransport()
	}
	cfg = cfg.withDefaults()
	c := &Client{
		target: target, cfg: cfg, deps: d, breaker: breaker.New(target, cfg.Breaker), budget: newBudget(),
	}
	if cfg.Background {
		c.deps.Tracer = &tracing.Tracer{} // creates ids, and records nothing
	}
	c.watchBreaker()
	return c
}

// Breaker returns the target's breaker, for its state and transitions.
func (c *Client) Breaker() *breaker.Breaker { return c.breaker }

// do makes the call through the breaker, counts it, and logs its failure.
func (c *Client) do(ctx context.Context, call *call) error {
	began := time.Now()
	call.deadline = began.Add(c.cfg.Timeout)
	if tracing.RequestID(ctx) == "" {
		ctx = tracing.WithRequestID(ctx, tracing.NewRequestID())
	}
	e := c.guarded(ctx, call)
	took := time.Since(began)
	if c.deps.Metrics != nil {
		c.deps.Metrics.Call(ctx, metrics.Call{
			Target: c.target, Method: call.method, Status: statusOf(e),
			Failed: e != nil && e.outcome == breaker.Failure, Duration: took,
		})
	}
	if e == nil {
		return nil
	}
	c.logFailure(ctx, call, e, took)
	return e
}

// statusOf returns the status of the response, 0 without one.
func statusOf(e *Error) int {
	if e == nil {
		return http.StatusOK
	}
	return e.Status
}

// guarded makes all attempts of the call inside the breaker, so that a call counts once.
func (c *Client) guarded(ctx context.Context, call *call) (e *Error) {
	err := c.breaker.Do(ctx, func(ctx context.Context) error {
		if e = c.retry(ctx, call); e == nil {
			return nil
		}
		return e
	})
	if open, ok := errors.AsType[*breaker.OpenError](err); ok {
		c.countRefusal(refusedOpen)
		e = c.fail(ctx, call, breaker.Failure, open)
		e.RetryAfter = open.RetryAfter
	}
	return e
}

// retry makes attempts until one succeeds or no other is planned.
func (c *Client) retry(ctx context.Context, call *call) *Error {
	c.budget.deposit()
	for {
		e := c.try(ctx, call)
		if e == nil || !e.repeat.again || !pause(ctx, e.repeat.wait) {
			return e
		}
		c.countRetry(e)
	}
}

// try makes one attempt on one instance, through the bulkhead.
func (c *Client) try(ctx context.Context, call *call) (e *Error) {
	lease, err := c.deps.Registry.Pick(c.target, call.tried...)
	if err != nil {
		c.countRefusal(refusedNoInstance)
		return c.fail(ctx, call, breaker.Failure, err)
	}
	call.tried = append(call.tried, lease.URL)
	began, outcome := time.Now(), breaker.Failure // stands if the attempt panics
	defer func() { lease.Done(outcome, time.Since(began)) }()
	if c.underWay.Add(1) > int64(c.cfg.Concurrency) {
		c.underWay.Add(-1)
		c.countRefusal(refusedBulkhead)
		outcome = breaker.Ignore
		return c.fail(ctx, call, breaker.Ignore, ErrBusy)
	}
	defer c.underWay.Add(-1)
	if e = c.attempt(ctx, call, lease.URL, began); e == nil {
		outcome = breaker.Success
		return nil
	}
	outcome = e.outcome
	if e.refused {
		lease.BackOff(min(e.RetryAfter, retryAfterCap))
	}
	e.repeat = c.plan(ctx, call, e)
	return e
}

// fail returns the error of a call without a usable response.
func (c *Client) fail(ctx context.Context, call *call, outcome breaker.Outcome, err error) *Error {
	return &Error{
		Service: c.target, Method: call.method, Path: call.path(), RequestID: tracing.RequestID(ctx),
		Err: err, outcome: outcome,
	}
}
