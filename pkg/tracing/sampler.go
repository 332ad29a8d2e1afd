package tracing

import (
	"encoding/binary"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// randomBits is how much of a trace id Trace Context Level 2 promises to be
// random: its last 56 bits.
const randomBits = 56

// ratio is the share of new traces that are recorded. The SDK's own ratio sampler judges by the
// ninth byte of the id, where a UUID keeps its variant: it would record none of
// our traces at any ratio up to one half. This one takes the same traces as other
// samplers that follow OpenTelemetry's consistent probability sampling.
type ratio float64

// takes reports whether a new trace with this id is recorded.
func (r ratio) takes(id trace.TraceID) bool {
	reject := uint64((1 - r) * (1 << randomBits))
	return r >= 1 || r > 0 && binary.BigEndian.Uint64(id[8:])&(1<<randomBits-1) >= reject
}

// ShouldSample implements [sdktrace.Sampler].
func (r ratio) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{
		Decision:   sdktrace.Drop,
		Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState(),
	}
	if r.takes(p.TraceID) {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements [sdktrace.Sampler].
func (r ratio) Description() string { return fmt.Sprintf("RandomBitsRatio{%g}", float64(r)) }
