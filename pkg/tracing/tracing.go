package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/go-troika/troika/pkg/tracing"

// Config configures the export of spans.
type Config struct {
	// Endpoint is the base URL of an OTLP/HTTP receiver, such as
	// http://localhost:4318; spans are posted to <Endpoint>/v1/traces. Empty
	// (the default) exports nothing.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" validate:"omitempty,http_url"`
	// SampleRatio is the share of new traces that are recorded, 0 to 1,
	// default 1. A trace that another service began follows that service's
	// decision instead.
	SampleRatio float64 `env:"TRACE_SAMPLE_RATIO" envDefault:"1" validate:"min=0,max=1"`
}

// Tracer starts spans. It is safe for concurrent use. The zero Tracer is one without an
// endpoint.
type Tracer struct {
	provider *sdktrace.TracerProvider // nil when nothing is exported
	tracer   trace.Tracer
	ratio    ratio
}

// Open returns a Tracer for service, which becomes the resource attribute
// service.name. It does not contact the receiver: one that is down costs the
// spans, never the service. Further settings of the exporter (headers, TLS,
// timeout, OTEL_RESOURCE_ATTRIBUTES) are read by the OpenTelemetry SDK from its
// standard variables. Open fails when cfg is not usable.
//
// With an endpoint, a goroutine sends spans in batches until [Tracer.Shutdown].
func Open(ctx context.Context, cfg Config, service string) (*Tracer, error) {
	if cfg.Endpoint == "" {
		return &Tracer{}, nil
	}
	target, err := tracesURL(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	sender, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target))
	if err != nil {
		return nil, fmt.Errorf("open trace exporter: %w", err)
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
		resource.WithAttributes(attribute.String("service.name", service)))
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe service for traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&exporter{SpanExporter: sender}),
		sdktrace.WithResource(res),
		sdktrace.WithIDGenerator(idGenerator{}),
		sdktrace.WithSampler(sdktrace.ParentBased(ratio(cfg.SampleRatio))))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope), ratio: ratio(cfg.SampleRatio)}, nil
}

func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("trace endpoint %q is not an http(s) URL", endpoint)
	}
	return u.JoinPath("v1", "traces").String(), nil
}

// Shutdown sends what is still buffered and stops exporting; spans started
// later record nothing. It gives up, with an error, when ctx ends.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// Exports reports whether t sends spans. A nil Tracer does not.
func (t *Tracer) Exports() bool { return t != nil && t.provider != nil }

// Start begins a span called name: a child of the span in ctx, or the root of a
// new trace when ctx has none. The caller ends it.
func (t *Tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanContextFromContext(ctx)
	if !parent.TraceID().IsValid() {
		parent = newRoot()
	}
	return t.start(ctx, parent, name, opts...)
}

// StartServer begins the span of a request that came with the headers h, by the
// rules of the package documentation. The returned context also holds the
// request's id: its X-Request-ID if that is at most 128 characters of
// [A-Za-z0-9._-], else a new one. The caller ends the span.
//
// Only the sampled flag of a trusted caller counts. The trace of any other is recorded
// with the probability of a new one: a stranger neither forces nor prevents it.
//
// Attributes are only worth their cost when the span records: set them under
// span.IsRecording().
func (t *Tracer) StartServer(
	ctx context.Context, h http.Header, name string, trusted bool,
) (context.Context, trace.Span) {
	ctx = WithRequestID(ctx, single(h[HeaderRequestID]))
	ctx, parent := remote(ctx, h)
	if !trusted && parent.IsRemote() {
		parent = parent.WithTraceFlags(parent.TraceFlags().WithSampled(t.ratio.takes()))
	}
	return t.start(ctx, parent, name, trace.WithSpanKind(trace.SpanKindServer))
}

// remote returns where a request's trace came from. The returned context holds
// the trace's tracestate.
func remote(ctx context.Context, h http.Header) (context.Context, trace.SpanContext) {
	if sc, ok := parseTraceparent(single(h[headerTraceparent])); ok {
		return withState(ctx, sc, joinState(h[headerTracestate]))
	}
	if id, ok := parseUUID(single(h[HeaderTraceID])); ok {
		return ctx, rootOf(id, 0)
	}
	return ctx, newRoot()
}

// rootOf returns what makes the next span the root of the trace id. A span context
// with a trace id and no span id is what the SDK takes for exactly that; its
// flags (the random flag of Level 2) are taken over.
func rootOf(id trace.TraceID, flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, TraceFlags: flags})
}

func newRoot() trace.SpanContext { return rootOf(trace.TraceID(uuid.New()), trace.FlagsRandom) }

// start begins a span below parent. Without an endpoint it records nothing, and passes a
// caller's sampling decision on as it came.
func (t *Tracer) start(
	ctx context.Context, parent trace.SpanContext, name string, opts ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	if t.provider != nil {
		return t.tracer.Start(trace.ContextWithSpanContext(ctx, parent), name, opts...)
	}
	id := idGenerator{}.NewSpanID(ctx, parent.TraceID())
	ctx = trace.ContextWithSpanContext(ctx, parent.WithSpanID(id).WithRemote(false))
	return ctx, trace.SpanFromContext(ctx)
}
