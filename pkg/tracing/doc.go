// Package tracing carries one trace through everything a request touches.
//
// A trace has one identity in two spellings. The W3C Trace Context headers
// traceparent and tracestate are what other systems speak; X-Trace-ID,
// X-Span-ID, X-Parent-Span-ID, X-Request-ID and X-Service-Name are what people
// read and grep for. X-Trace-ID is the same 16 bytes as the trace id of
// traceparent, written as a UUID.
//
// # The way in
//
// [Tracer.StartServer] reads the headers of a request:
//
//   - exactly one valid traceparent wins: its trace goes on;
//   - otherwise exactly one X-Trace-ID in UUID form becomes the trace id of a
//     new root span;
//   - otherwise the trace gets a fresh, UUIDv4-shaped id.
//
// What is not valid is replaced and never echoed, so a client cannot write
// into our headers or logs. Parsing follows W3C Trace Context Level 2
// (https://www.w3.org/TR/trace-context-2/).
//
// # The way out
//
// [Inject] writes the headers of an outgoing call. [Carrier] and [WithCarrier]
// take the same two W3C values through an event, so that the span of its
// consumer joins the trace of its publisher.
//
// # Cost
//
// Spans are exported over OTLP/HTTP when [Config].Endpoint is set. Without an
// endpoint no span records anything: ids, headers and log fields still work,
// for a few allocations per span.
package tracing
