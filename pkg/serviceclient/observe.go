package serviceclient

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
)

// Reasons of http_client_refused_total.
const (
	refusedOpen       = "circuit_open"
	refusedBulkhead   = "bulkhead"
	refusedNoInstance = "no_instance"
	refusedBudget     = "retry_budget"   // a retry, not a call
	refusedDeadline   = "retry_deadline" // likewise
)

// watchBreaker makes metrics and one log line of each of the breaker's transitions.
func (c *Client) watchBreaker() {
	if c.deps.Metrics != nil {
		c.deps.Metrics.WatchBreaker(c.target, func() string { return c.breaker.State().String() })
	}
	c.breaker.OnTransition(func(t breaker.Transition) {
		from, to := t.From.String(), t.To.String()
		if c.deps.Metrics != nil {
			c.deps.Metrics.Transition(c.target, from, to)
		}
		level := slog.LevelInfo
		if t.To == breaker.Open {
			level = slog.LevelWarn
		}
		c.deps.Log.LogAttrs(context.Background(), level, "circuit breaker "+to,
			slog.String("target", c.target), slog.String("from", from))
	})
}

// countRetry counts a retry after the failed attempt e, by what had gone wrong.
func (c *Client) countRetry(e *Error) {
	if c.deps.Metrics == nil {
		return
	}
	reason := "transport"
	switch {
	case e.undialed:
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

// logFailure writes the one line of a failed call. A 4xx is often what the caller wanted to know, and a caller that
// hung up is no trouble either.
func (c *Client) logFailure(ctx context.Context, call *call, e *Error, took time.Duration) {
	level := slog.LevelWarn
	if ctx.Err() != nil || e.Status >= 400 && e.Status <= 499 {
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

// reason is what e adds to its status.
func reason(e *Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Code
}
