package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

const maxRequestID = 128

type requestIDKey struct{}

// TraceID returns the trace of ctx in the form of X-Trace-ID, a lower-case
// UUID, or "" if ctx has none.
func TraceID(ctx context.Context) string {
	id := trace.SpanContextFromContext(ctx).TraceID()
	if !id.IsValid() {
		return ""
	}
	return formatUUID(id)
}

// TraceIDHex returns the trace of ctx as in traceparent, 32 lower-case hex
// digits, or "" if ctx has none.
func TraceIDHex(ctx context.Context) string {
	id := trace.SpanContextFromContext(ctx).TraceID()
	if !id.IsValid() {
		return ""
	}
	return id.String()
}

// SpanID returns the span of ctx as 16 lower-case hex digits, or "" if ctx has
// none.
func SpanID(ctx context.Context) string {
	id := trace.SpanContextFromContext(ctx).SpanID()
	if !id.IsValid() {
		return ""
	}
	return id.String()
}

// RequestID returns the request id of ctx, or "" if it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID returns a context with the request id. An id that is not 1 to
// 128 characters of [A-Za-z0-9._-] is replaced by a new one.
func WithRequestID(ctx context.Context, id string) context.Context {
	if !validRequestID(id) {
		id = NewRequestID()
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// NewRequestID returns a fresh random UUID (version 4).
func NewRequestID() string {
	return formatUUID(newTraceID())
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !isAlpha(c|0x20) && !isDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlpha(c byte) bool { return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// newTraceID answers 16 random bytes in the shape of a version 4 UUID. The last
// seven bytes are all random, which is what the random flag of Trace Context
// Level 2 promises.
func newTraceID() (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// idGenerator makes the ids of spans for the SDK in our shape.
type idGenerator struct{}

func (idGenerator) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return newTraceID(), newSpanID()
}

func (idGenerator) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	return newSpanID()
}

// formatUUID writes 8-4-4-4-12 lower-case hex digits (RFC 9562).
func formatUUID(id trace.TraceID) string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// parseUUID reads 8-4-4-4-12 hex digits of either case and no other spelling.
// The nil UUID is no id.
func parseUUID(s string) (id trace.TraceID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return trace.TraceID{}, false
	}
	return id, id.IsValid()
}
