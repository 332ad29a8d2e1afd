package tracing

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

const knownFlags = trace.FlagsSampled | trace.FlagsRandom

// parseTraceparent reads a traceparent of version 00, or what version 00
// defines of a later version (Trace Context Level 2, sections 3.2 and 4). Flags
// that Level 2 does not know are cleared.
func parseTraceparent(s string) (sc trace.SpanContext, ok bool) {
	parts := strings.SplitN(strings.Trim(s, " \t"), "-", 5)
	if len(parts) < 4 || parts[0] == "ff" || parts[0] == "00" && len(parts) > 4 {
		return sc, false
	}
	_, versionOK := parseByte(parts[0])
	traceID, traceErr := trace.TraceIDFromHex(parts[1])
	spanID, spanErr := trace.SpanIDFromHex(parts[2])
	flags, flagsOK := parseByte(parts[3])
	if !versionOK || traceErr != nil || spanErr != nil || !flagsOK {
		return sc, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    traceID,
		SpanID:     spanID,
		TraceFlags: trace.TraceFlags(flags) & knownFlags,
		Remote:     true,
	}), true
}

// parseByte reads two lower-case hex digits.
func parseByte(s string) (b byte, ok bool) {
	n, err := strconv.ParseUint(s, 16, 8)
	return byte(n), err == nil && len(s) == 2 && s == strings.ToLower(s)
}

func formatTraceparent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}
