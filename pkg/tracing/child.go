package tracing

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// Child begins a span below the one in ctx if that one is recorded. Otherwise it returns ctx and a
// span that records nothing, at the cost of a look at ctx. The caller ends the span.
//
// It is for the steps within a service: statements, commands, events. Attributes are only worth their
// cost when the span records: set them under span.IsRecording().
func Child(ctx context.Context, kind trace.SpanKind, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
}
