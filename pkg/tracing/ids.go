package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"regexp"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

type requestIDKey struct{}

// TraceID returns the trace of ctx in the form of X-Trace-ID, a lower-case
// UUID, or "" if ctx has none.
func TraceID(ctx context.Context) string {
	id := trace.SpanContextFromContext(ctx).TraceID()
	if !id.IsValid() {
		return ""
	}
	return uuid.UUID(id).String()
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
	if !requestID.MatchString(id) {
		id = NewRequestID()
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// NewRequestID returns a fresh random UUID (version 4).
func NewRequestID() string { return uuid.NewString() }

// idGenerator makes the ids of spans. A trace id is a version 4 UUID, whose last seven
// bytes are all random, as the random flag of Trace Context Level 2 promises.
type idGenerator struct{}

// NewIDs implements [sdktrace.IDGenerator].
func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id := trace.TraceID(uuid.New())
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements [sdktrace.IDGenerator].
func (idGenerator) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// parseUUID reads 8-4-4-4-12 hex digits of either case and no other spelling.
// The nil UUID is no id.
func parseUUID(s string) (id trace.TraceID, ok bool) {
	parsed, err := uuid.Parse(s)
	if err != nil || len(s) != len("00000000-0000-0000-0000-000000000000") {
		return id, false
	}
	id = trace.TraceID(parsed)
	return id, id.IsValid()
}
