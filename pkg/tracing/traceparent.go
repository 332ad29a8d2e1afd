package tracing

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

const (
	traceparentLength = len("00-") + 32 + len("-") + 16 + len("-00")
	knownFlags        = trace.FlagsSampled | trace.FlagsRandom
)

// parseTraceparent reads a traceparent of version 00, or what version 00
// defines of a later version (Trace Context Level 2, sections 3.2 and 4). Flags
// that Level 2 does not know are cleared.
func parseTraceparent(s string) (sc trace.SpanContext, ok bool) {
	s = strings.Trim(s, " \t")
	if len(s) < traceparentLength || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return sc, false
	}
	var version, flags [1]byte
	var traceID trace.TraceID
	var spanID trace.SpanID
	if !lowerHex(version[:], s[0:2]) || !lowerHex(traceID[:], s[3:35]) ||
		!lowerHex(spanID[:], s[36:52]) || !lowerHex(flags[:], s[53:55]) {
		return sc, false
	}
	if !validTail(version[0], s[traceparentLength:]) {
		return sc, false
	}
	sc = trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    traceID,
		SpanID:     spanID,
		TraceFlags: trace.TraceFlags(flags[0]) & knownFlags,
		Remote:     true,
	})
	return sc, sc.IsValid()
}

// validTail reports whether a traceparent of this version may end in rest:
// version 00 ends after its flags, a later one may go on after a dash, and ff is
// no version.
func validTail(version byte, rest string) bool {
	switch version {
	case 0xff:
		return false
	case 0:
		return rest == ""
	default:
		return rest == "" || rest[0] == '-'
	}
}

// lowerHex decodes src, of twice the length of dst, refusing upper case.
func lowerHex(dst []byte, src string) bool {
	for i := range len(src) {
		if c := src[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(src))
	return err == nil
}

func formatTraceparent(sc trace.SpanContext) string {
	traceID, spanID := sc.TraceID(), sc.SpanID()
	b := make([]byte, 0, traceparentLength)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, traceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, spanID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{byte(sc.TraceFlags())})
	return string(b)
}

// spanIDOf returns the span id in what formatTraceparent answered.
func spanIDOf(traceparent string) string { return traceparent[36:52] }
