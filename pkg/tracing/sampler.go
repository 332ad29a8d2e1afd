package tracing

import (
	"fmt"
	"math/rand/v2"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// ratio is the share of new traces that are recorded, each by chance. The SDK's sampler, and OpenTelemetry's consistent
// one, decide by the trace id, which a caller may choose: they would let a stranger decide.
type ratio float64

// takes decides about a new trace.
func (r ratio) takes() bool { return rand.Float64() < float64(r) } // #nosec G404 -- not for security

// ShouldSample implements [sdktrace.Sampler].
func (r ratio) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{
		Decision:   sdktrace.Drop,
		Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState(),
	}
	if r.takes() {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements [sdktrace.Sampler].
func (r ratio) Description() string { return fmt.Sprintf("Ratio{%g}", float64(r)) }
