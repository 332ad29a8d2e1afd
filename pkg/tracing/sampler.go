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

// ratio records a share of new traces. The SDK's own ratio sampler judges by the
// ninth byte of the id, where a UUID keeps its variant: it would record none of
// our traces at any ratio up to one half. This one takes the same traces as other
// samplers that follow OpenTelemetry's consistent probability sampling.
type ratio struct {
	share  float64
	reject uint64
}

func ratioSampler(share float64) sdktrace.Sampler {
	if share >= 1 {
		return sdktrace.AlwaysSample()
	}
	if share <= 0 {
		return sdktrace.NeverSample()
	}
	return ratio{share: share, reject: uint64((1 - share) * (1 << randomBits))}
}

// ShouldSample implements [sdktrace.Sampler].
func (r ratio) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{
		Decision:   sdktrace.Drop,
		Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState(),
	}
	if binary.BigEndian.Uint64(p.TraceID[8:])&(1<<randomBits-1) >= r.reject {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements [sdktrace.Sampler].
func (r ratio) Description() string {
	return fmt.Sprintf("RandomBitsRatio{%g}", r.share)
}
