package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Names of the readable headers, in the canonical form of [http.Header].
const (
	HeaderTraceID      = "X-Trace-Id"       // the trace, as a UUID
	HeaderSpanID       = "X-Span-Id"        // the answering span, 16 hex digits
	HeaderParentSpanID = "X-Parent-Span-Id" // the calling span, 16 hex digits
	HeaderRequestID    = "X-Request-Id"     // the request
	HeaderServiceName  = "X-Service-Name"   // the caller or the callee

	// HeaderTimeout is the time a caller still waits for the response, in whole milliseconds.
	HeaderTimeout = "X-Request-Timeout-Ms"

	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
)

// remoteState is the tracestate that came with a trace. The SDK's own type
// cannot hold it: it knows only the key grammar of Level 1.
type remoteState struct {
	trace trace.TraceID
	state string
}

type remoteStateKey struct{}

// Inject writes what a callee needs to know about ctx into the headers h:
// traceparent, tracestate, X-Trace-ID and X-Parent-Span-ID of its span, the
// caller's name service as X-Service-Name, and X-Request-ID, a new one if ctx
// has none. Without a span in ctx it writes the last two only. Values that h
// already has under these names are replaced or removed.
func Inject(ctx context.Context, h http.Header, service string) {
	id := RequestID(ctx)
	if id == "" {
		id = NewRequestID()
	}
	h.Set(HeaderServiceName, service)
	h.Set(HeaderRequestID, id)
	for _, name := range []string{headerTraceparent, headerTracestate, HeaderTraceID, HeaderParentSpanID} {
		h.Del(name)
	}
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	h.Set(headerTraceparent, formatTraceparent(sc))
	h.Set(HeaderTraceID, TraceID(ctx))
	h.Set(HeaderParentSpanID, SpanID(ctx))
	if state := stateOf(ctx, sc); state != "" {
		h.Set(headerTracestate, state)
	}
}

// Carrier returns the span of ctx as the two W3C values that an event takes
// along, or "" for both if ctx has none. It takes along the first members of a long
// tracestate, up to 512 bytes.
func Carrier(ctx context.Context) (traceparent, tracestate string) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", ""
	}
	state := stateOf(ctx, sc)
	for len(state) > maxCarriedState {
		state = state[:max(strings.LastIndexByte(state, ','), 0)]
	}
	return formatTraceparent(sc), state
}

// maxCarriedState is how much of a tracestate every participant should keep (Trace Context
// Level 2, section 3.3.1.5).
const maxCarriedState = 512

// WithCarrier returns a context whose next span is a child of what [Carrier]
// returned elsewhere, and ctx itself if traceparent is not valid. A tracestate
// that is not valid is dropped.
func WithCarrier(ctx context.Context, traceparent, tracestate string) context.Context {
	sc, ok := parseTraceparent(traceparent)
	if !ok {
		return ctx
	}
	ctx, sc = withState(ctx, sc, joinState([]string{tracestate}))
	return trace.ContextWithSpanContext(ctx, sc)
}

// FromCarrier returns what [Carrier] returned elsewhere as a remote span
// context, for a link; it is not valid (IsValid) if traceparent is not.
func FromCarrier(ctx context.Context, traceparent, tracestate string) trace.SpanContext {
	none := trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	return trace.SpanContextFromContext(WithCarrier(none, traceparent, tracestate))
}

// withState returns sc with its tracestate, and a context that holds it too: in
// the span context it is for export only, and may be missing (see [remoteState]).
func withState(ctx context.Context, sc trace.SpanContext, state string) (context.Context, trace.SpanContext) {
	if state == "" {
		return ctx, sc
	}
	if known, err := trace.ParseTraceState(state); err == nil {
		sc = sc.WithTraceState(known)
	}
	return context.WithValue(ctx, remoteStateKey{}, remoteState{sc.TraceID(), state}), sc
}

// stateOf returns the tracestate of the trace that sc belongs to. A new root
// below a remote parent is another trace and does not inherit its state.
func stateOf(ctx context.Context, sc trace.SpanContext) string {
	if remote, ok := ctx.Value(remoteStateKey{}).(remoteState); ok && remote.trace == sc.TraceID() {
		return remote.state
	}
	return sc.TraceState().String()
}

// single returns the only line of a header, or "" if there are several.
func single(lines []string) string {
	if len(lines) != 1 {
		return ""
	}
	return lines[0]
}
