package relay

import (
	"context"
	"encoding/json"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/tracing"
)

// maxLinks is the number of links that OpenTelemetry keeps of a span.
const maxLinks = 128

// startSpan begins the span of appending batches, a child of the first event in them whose
// publication was recorded, with links to the others. Without such an event there is none.
func (r *Relay) startSpan(ctx context.Context, batches []Batch) (context.Context, trace.Span) {
	none := trace.SpanFromContext(context.Background())
	if !r.tracer.Exports() {
		return ctx, none
	}
	var links []trace.Link
	records := 0
	for _, b := range batches {
		records += len(b.Records)
		for _, record := range b.Records[:min(len(b.Records), maxLinks-len(links))] {
			if origin := origin(ctx, record.Envelope); origin.IsSampled() {
				links = append(links, trace.Link{SpanContext: origin})
			}
		}
	}
	if len(links) == 0 {
		return ctx, none
	}
	return r.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext), "relay events",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links[1:]...), trace.WithAttributes(
			attribute.String("messaging.system", "redis"), attribute.String("messaging.operation.name", "send"),
			attribute.Int("messaging.batch.message_count", records)))
}

// origin returns the span that published the event of an envelope.
func origin(ctx context.Context, envelope string) trace.SpanContext {
	var carrier struct{ Traceparent, Tracestate string }
	if err := json.Unmarshal([]byte(envelope), &carrier); err != nil {
		return trace.SpanContext{}
	}
	return tracing.FromCarrier(ctx, carrier.Traceparent, carrier.Tracestate)
}
