package tracing

import (
	"context"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter reports a receiver that is down once, not every few seconds: only the first of
// several failures in a row is an error.
type exporter struct {
	sdktrace.SpanExporter
	failed atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if before := e.failed.Swap(err != nil); before {
		return nil
	}
	return err
}
