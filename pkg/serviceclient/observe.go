package serviceclient

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/registry"
)

// Reasons of http_client_refused_total.
const (
	refusedOpen       = "circuit_open"
	refusedBulkhead   = "bulkhead"
	refusedNoInstance = "no_instance"
	refusedBudget     = "retry_budget"   // a retry, not a call
	refusedDeadline   = "retry_deadline" // likewise
)

// watchBreaker counts and logs the breaker's transitions, and watches the target in the registry while the breaker is
// open.
func (c *Client) watchBreaker() {
	watched := c.deps.Metrics != nil && !c.cfg.Background
	if watched {
		c.deps.Metrics.WatchBreaker(c.target, func() string { return c.breaker.State().String() }, c.breaker.Cooldown)
	}
	w := recovery{client: c}
	c.breaker.OnTransition(func(t breaker.Transition) {
		w.transition(t)
		from, to := t.From.String(), t.To.String()
		if watched {
			c.deps.Metrics.Transition(c.target, from, to)
		}
		level := slog.LevelInfo
		switch {
		case c.cfg.Background:
			level = slog.LevelDebug
		case t.To == breaker.Open:
			level = slog.LevelWarn
		}
		c.deps.Log.LogAttrs(context.Background(), level, "circuit breaker "+to,
			slog.String("target", c.target), slog.String("from", from))
	})
}

// recovery ends the cooldown of an open breaker once a health check of the target succeeds, or it has a new instance.
// The breaker calls it one transition at a time.
type recovery struct {
	client *Client
	stop   func()
	failed int // trials in a row that failed although the target was healthy
}

func (w *recovery) transition(t breaker.Transition) {
	switch t.To {
	case breaker.Open:
		if t.From == breaker.HalfOpen {
			w.failed++
		}
		// A target that passes health checks but fails its calls is tried at growing intervals.
		wait := registry.WatchInterval << min(w.failed, 10)
		began := time.Now()
		w.stop = w.client.deps.Registry.Watch(w.client.target, func() {
			if time.Since(began) >= wait-registry.WatchInterval {
				w.client.breaker.EndCooldown()
			}
		})
	case breaker.HalfOpen:
		w.stop()
	case breaker.Closed:
		w.failed = 0
	}
}

// countRetry counts a retry by the reason of the failed attempt e.
func (c *Client) countRetry(e *Error) {
	if c.deps.Metrics == nil {
		return
	}
	reason := "transport"
	switch {
	case e.undelivered:
		reason = "dial"
	case e.Status != 0:
		reason = "status"
	case errors.Is(e.Err, context.DeadlineExceeded):
		reason = "timeout"
	}
	c.deps.Metrics.Retry(c.target, reason)
}

func (c *Client) countRefusal(reason string) {
	if c.deps.Metrics != nil {
		c.deps.Metrics.CallRefused(c.target, reason)
	}
}

// logFailure writes the one line of a failed call: a warning, but for a 4xx and for a call that the caller cancelled.
// Calls that the open breaker refuses are counted, and its transition was logged: a line for each would flood the log.
func (c *Client) logFailure(ctx context.Context, call *call, e *Error, took time.Duration) {
	level := slog.LevelWarn
	if errors.Is(e.Err, breaker.ErrOpen) || c.cfg.Background { // the caller of the background logs its outages
		level = slog.LevelDebug
	} else if ctx.Err() != nil || e.Status >= 400 && e.Status <= 499 {
		level = slog.LevelInfo
	}
	c.deps.Log.LogAttrs(ctx, level, "call failed",
		slog.String("target", c.target),
		slog.String("method", e.Method),
		slog.String("path", e.Path),
		slog.Int("status", e.Status),
		slog.String("error", reason(e)),
		slog.Int("attempts", len(call.tried)),
		slog.Duration("took", took))
}

// reason returns the text of e beyond its status.
func reason(e *Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Code
}
