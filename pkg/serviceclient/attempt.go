package serviceclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/tracing"
)

// attempt sends the call once, to the instance at base, in a span and with a deadline for the attempt.
func (c *Client) attempt(caller context.Context, call *call, base string, began time.Time) *Error {
	until := began.Add(c.cfg.AttemptTimeout)
	if call.deadline.Before(until) {
		until = call.deadline
	}
	ctx, cancel := context.WithDeadline(caller, until)
	defer cancel()
	until, _ = ctx.Deadline() // the caller's, if that is earlier
	ctx, span := c.startSpan(ctx, call.method)
	defer span.End()
	e := c.roundTrip(ctx, caller, call, base, until.Sub(began))
	endSpan(span, e)
	return e
}

func (c *Client) roundTrip(ctx, caller context.Context, call *call, base string, left time.Duration) *Error {
	req, err := c.request(ctx, call, base, left)
	if err != nil {
		return c.fail(ctx, call, breaker.Ignore, err)
	}
	resp, err := c.deps.Transport.RoundTrip(req)
	if err != nil {
		e := c.fail(ctx, call, outcomeOfNoResponse(caller), timedOut(ctx, err))
		e.undelivered = dialFailed(err)
		return e
	}
	defer resp.Body.Close()
	if name := resp.Header.Get(tracing.HeaderServiceName); name != "" && name != c.target {
		e := c.fail(ctx, call, breaker.Failure, fmt.Errorf("%w: %s", ErrWrongService, name))
		e.undelivered = true
		return e
	}
	body, err := readAll(resp, c.cfg.MaxBody)
	return c.judge(ctx, caller, call, resp, body, err)
}

// judge returns nil for a usable response, else the error of the call. readErr is the error of reading the body.
func (c *Client) judge(
	ctx, caller context.Context, call *call, resp *http.Response, body []byte, readErr error,
) *Error {
	ok := resp.StatusCode >= 200 && resp.StatusCode <= 299
	outcome, err := outcomeOfStatus(resp.StatusCode), readErr
	switch {
	case ok && readErr == nil:
		if err = decode(resp.StatusCode, body, call.out); err == nil {
			return nil
		}
	case ok && !errors.Is(readErr, ErrTooLarge):
		outcome, err = outcomeOfNoResponse(caller), timedOut(ctx, err)
	}
	e := c.fail(ctx, call, outcome, err)
	e.Status = resp.StatusCode
	e.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch {
	case ok || readErr != nil:
	case isProblem(resp.Header):
		p := parseProblem(body)
		e.Code, e.Message, e.RequestID = p.Code, p.Error, cmp.Or(p.RequestID, e.RequestID)
		if e.refused = isRefusal(resp.StatusCode, p.Code); e.refused || ranOut(caller, resp.StatusCode) {
			e.outcome = breaker.Ignore
		}
	case resp.StatusCode >= http.StatusBadRequest:
		e.Err, e.outcome = ErrNotProblem, breaker.Failure
	}
	return e
}

func (c *Client) startSpan(ctx context.Context, method string) (context.Context, trace.Span) {
	if c.deps.Tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	ctx, span := c.deps.Tracer.Start(ctx, method+" "+c.target, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("service.peer.name", c.target))
	}
	return ctx, span
}

func endSpan(span trace.Span, e *Error) {
	if e == nil || !span.IsRecording() {
		return
	}
	if e.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", e.Status))
	}
	span.SetStatus(codes.Error, reason(e))
}
