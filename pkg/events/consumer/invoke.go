package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/tracing"
)

// errOverrun is the failure of a handler that took longer than it may.
var errOverrun = errors.New("handler took too long")

// invoke calls the handler of an event, in the event's trace, for at most limit.
func (c *Consumer) invoke(
	ctx context.Context, tx Tx, s *events.Subscription, e events.Envelope, attempt int, limit time.Duration,
) (err error) {
	if c.tracer != nil {
		opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("messaging.operation.name", "process"), attribute.String("messaging.destination.name", e.Event),
			attribute.String("messaging.message.id", e.ID.String()))}
		if origin := tracing.FromCarrier(ctx, e.Traceparent, e.Tracestate); origin.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: origin}))
		}
		var span trace.Span
		ctx, span = c.tracer.Start(spanContext(ctx, e, attempt), "process "+e.Event, opts...)
		defer func() {
			if err != nil { // the text is in the log
				span.SetStatus(codes.Error, "handler failed")
			}
			span.End()
		}()
	}
	ctx = events.WithMeta(ctx, events.Meta{ID: e.ID, Key: e.Key, Published: e.Timestamp, Attempt: attempt})
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	defer func() {
		c.metrics.duration.WithLabelValues(e.Event).Observe(time.Since(began).Seconds())
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
			c.log.ErrorContext(ctx, "handler panicked", "event", e.Event, "event_id", e.ID.String(),
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // its transaction is gone, even if it returned nil
			err = fmt.Errorf("%w: more than %v: %w", errOverrun, limit, errors.Join(err, ctx.Err()))
		}
		if c.log.Enabled(ctx, slog.LevelDebug) {
			c.log.DebugContext(ctx, "event handled", "event", e.Event, "event_id", e.ID.String(),
				"attempt", attempt, "took", time.Since(began), "failed", err != nil)
		}
	}()
	return tx.Handle(ctx, s, e)
}

// spanContext makes what follows a child of the publishing span on a first
// delivery. Later ones are traces of their own, linked to it.
func spanContext(ctx context.Context, e events.Envelope, attempt int) context.Context {
	if attempt > 1 {
		return ctx
	}
	return tracing.WithCarrier(ctx, e.Traceparent, e.Tracestate)
}
