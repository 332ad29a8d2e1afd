package tracing_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

const uuidA = "12345678-9012-3456-7890-123456789012"

var uuidV4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTraceIDHeader(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   http.Header
		want bool // the id is taken
	}{
		"UUID":                     {header("X-Trace-ID", uuidA), true},
		"beside a bad traceparent": {header("X-Trace-ID", uuidA, "traceparent", "ff-bad"), true},
		"beside two traceparents":  {header("X-Trace-ID", uuidA, "traceparent", parentA, "traceparent", parentA), true},
		"beside a traceparent":     {header("X-Trace-ID", "abcdefab-9012-3456-7890-123456789012", "traceparent", parentA), true},
		"twice":                    {header("X-Trace-ID", uuidA, "X-Trace-ID", uuidA), false},
		"hex":                      {header("X-Trace-ID", traceA), false},
		"braces":                   {header("X-Trace-ID", "{"+uuidA+"}"), false},
		"URN":                      {header("X-Trace-ID", "urn:uuid:"+uuidA), false},
		"dashes elsewhere":         {header("X-Trace-ID", "123456789-012-3456-7890-123456789012"), false},
		"not hex":                  {header("X-Trace-ID", "1234567g-9012-3456-7890-123456789012"), false},
		"hostile":                  {header("X-Trace-ID", "12345678\r\nSet-Cookie: a=b"), false},
		"nil UUID":                 {header("X-Trace-ID", "00000000-0000-0000-0000-000000000000"), false},
		"empty":                    {header("X-Trace-ID", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, span := silent(t).StartServer(t.Context(), tc.in, "test", true)
			defer span.End()
			got := tracing.TraceID(ctx)
			if taken := got == uuidA; taken != tc.want {
				t.Errorf("trace %s, taken: %v, want %v", got, taken, tc.want)
			}
			if !tc.want && !uuidV4.MatchString(got) {
				t.Errorf("fresh trace id %q is not a UUID of version 4", got)
			}
			if hexID := strings.ReplaceAll(got, "-", ""); tracing.TraceIDHex(ctx) != hexID {
				t.Errorf("TraceIDHex %s, want %s", tracing.TraceIDHex(ctx), hexID)
			}
		})
	}
	ctx, span := silent(t).StartServer(t.Context(), header("X-Trace-ID", "ABCDEFAB-9012-3456-7890-123456789012"), "test", true)
	defer span.End()
	if got, want := tracing.TraceID(ctx), "abcdefab-9012-3456-7890-123456789012"; got != want {
		t.Errorf("upper-case id became %s, want %s", got, want)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 128)
	for id, taken := range map[string]bool{
		"a": true, "A-z_0.9": true, long: true,
		"": false, long + "a": false, "a b": false, "a\nb": false, "<script>": false, "é": false, "a@b": false, "{}": false,
	} {
		ctx, span := silent(t).StartServer(t.Context(), header("X-Request-ID", id), "test", true)
		span.End()
		got := tracing.RequestID(ctx)
		if (got == id) != taken {
			t.Errorf("X-Request-ID %q became %q", id, got)
		}
		if !taken && !uuidV4.MatchString(got) {
			t.Errorf("X-Request-ID %q was replaced by %q, not a UUID", id, got)
		}
	}
	ctx, span := silent(t).StartServer(t.Context(), header("X-Request-ID", "a", "X-Request-ID", "b"), "test", true)
	span.End()
	if got := tracing.RequestID(ctx); !uuidV4.MatchString(got) {
		t.Errorf("two X-Request-IDs became %q, want a new one", got)
	}
}

func TestContextWithoutTrace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if got := tracing.TraceID(ctx) + tracing.TraceIDHex(ctx) + tracing.SpanID(ctx) + tracing.RequestID(ctx); got != "" {
		t.Errorf("ids of an empty context: %q", got)
	}
	out := header("traceparent", parentA, "tracestate", "a=b", "X-Trace-ID", uuidA, "X-Parent-Span-ID", "x", "X-Request-ID", "old")
	tracing.Inject(ctx, out, "user-service")
	if len(out) != 2 || out.Get("X-Service-Name") != "user-service" || !uuidV4.MatchString(out.Get("X-Request-ID")) {
		t.Errorf("headers without a trace: %v", out)
	}
}

func TestInject(t *testing.T) {
	t.Parallel()
	ctx, span := silent(t).StartServer(t.Context(), header("traceparent", parentA, "tracestate", "9x=1", "X-Request-ID", "r1"), "test", true)
	defer span.End()
	out := header("tracestate", "stale=1", "tracestate", "stale=2")
	tracing.Inject(ctx, out, "order-service")
	for name, want := range map[string]string{
		"traceparent":      "00-" + traceA + "-" + tracing.SpanID(ctx) + "-01",
		"tracestate":       "9x=1",
		"X-Trace-ID":       uuidA,
		"X-Parent-Span-ID": tracing.SpanID(ctx),
		"X-Service-Name":   "order-service",
		"X-Request-ID":     "r1",
	} {
		if got := out.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCarrier(t *testing.T) {
	t.Parallel()
	tracer := silent(t)
	ctx, span := tracer.StartServer(t.Context(), header("traceparent", parentA, "tracestate", "9x=1,foo@@=2"), "publish", true)
	span.End()
	parent, state := tracing.Carrier(ctx)

	if link := tracing.FromCarrier(t.Context(), parent, state); !link.Equal(span.SpanContext().WithRemote(true)) {
		t.Errorf("link to %v, want %v", link, span.SpanContext())
	}
	child, handler := tracer.Start(tracing.WithCarrier(t.Context(), parent, state), "consume")
	handler.End()
	if tracing.TraceID(child) != uuidA || tracing.SpanID(child) == tracing.SpanID(ctx) {
		t.Errorf("the consumer is %s in %s", tracing.SpanID(child), tracing.TraceID(child))
	}
	if _, got := tracing.Carrier(child); got != "9x=1,foo@@=2" {
		t.Errorf("tracestate %q did not survive the event", got)
	}
}

func TestCarrierWithoutTrace(t *testing.T) {
	t.Parallel()
	if parent, state := tracing.Carrier(t.Context()); parent != "" || state != "" {
		t.Errorf("carrier of an empty context: %q, %q", parent, state)
	}
	for _, bad := range []string{"", "rubbish", "ff-" + traceA + tail} {
		if sc := tracing.FromCarrier(t.Context(), bad, "foo=1"); sc.IsValid() {
			t.Errorf("span context from %q", bad)
		}
		if got := tracing.TraceID(tracing.WithCarrier(t.Context(), bad, "foo=1")); got != "" {
			t.Errorf("trace %s from %q", got, bad)
		}
	}
	if got := tracing.FromCarrier(t.Context(), parentA, "BAD=1").TraceState().Len(); got != 0 {
		t.Errorf("a bad tracestate became %d members", got)
	}
}

func TestNewRootDropsState(t *testing.T) {
	t.Parallel()
	tracer, flush := exporting(t, testkit.NewSpans(t), 1)
	defer flush()
	ctx, span := tracer.StartServer(t.Context(), header("traceparent", parentA, "tracestate", "9x=1"), "test", true)
	defer span.End()
	ctx, root := tracer.Start(ctx, "another trace", trace.WithNewRoot())
	defer root.End()
	if parent, state := tracing.Carrier(ctx); strings.Contains(parent, traceA) || state != "" {
		t.Errorf("a new root carries %q, %q", parent, state)
	}
	if got := tracing.TraceID(ctx); !uuidV4.MatchString(got) {
		t.Errorf("a new root has trace id %q", got)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	r := testkit.NewSpans(t)
	tracer, flush := exporting(t, r, 1)
	ctx, server := tracer.StartServer(t.Context(), header("X-Trace-ID", uuidA), "GET /users/:id", true)
	server.SetAttributes(attribute.String("k", "v"))
	_, child := tracer.Start(ctx, "select user")
	child.End()
	server.End()
	_, continued := tracer.StartServer(t.Context(), header("traceparent", parentA, "tracestate", "foo=1"), "continued", true)
	continued.End()
	flush()

	got := map[string]testkit.Span{}
	for _, s := range r.All() {
		got[s.Name] = s
		if s.Trace != traceA || s.Service != "user-service" {
			t.Errorf("%s is in trace %s of service %q", s.Name, s.Trace, s.Service)
		}
	}
	if len(got) != 3 {
		t.Fatalf("%d spans", len(got))
	}
	root := got["GET /users/:id"]
	if root.Parent != "" || root.Kind != "SERVER" {
		t.Errorf("a root from X-Trace-ID has parent %s and kind %s", root.Parent, root.Kind)
	}
	if diff := cmp.Diff(map[string]string{"k": `string_value:"v"`}, root.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if parent := got["select user"].Parent; parent != root.ID {
		t.Errorf("child of %s, want %s", parent, root.ID)
	}
	if s := got["continued"]; s.Parent != "1234567890123456" || s.State != "foo=1" {
		t.Errorf("continued: parent %s, state %q", s.Parent, s.State)
	}
}

func TestStrangersDoNotDecideAboutRecording(t *testing.T) {
	t.Parallel()
	none, flushNone := exporting(t, testkit.NewSpans(t), 0)
	defer flushNone()
	all, flushAll := exporting(t, testkit.NewSpans(t), 1)
	defer flushAll()
	for _, tc := range []struct {
		name    string
		tracer  *tracing.Tracer
		flags   string
		trusted bool
		want    bool
	}{
		{"a service's flag counts", none, "01", true, true},
		{"a service's missing flag counts", all, "00", true, false},
		{"a stranger cannot force it", none, "01", false, false},
		{"a stranger cannot prevent it", all, "00", false, true},
		{"nor pass it on without an endpoint", silent(t), "01", false, false},
		{"a service passes it on without an endpoint", silent(t), "01", true, true},
	} {
		_, span := tc.tracer.StartServer(t.Context(), header("traceparent", "00-"+traceA+"-1234567890123456-"+tc.flags), "x", tc.trusted)
		if got := span.SpanContext(); got.IsSampled() != tc.want || got.TraceID().String() != traceA {
			t.Errorf("%s: sampled %v in trace %s", tc.name, got.IsSampled(), got.TraceID())
		}
		span.End()
	}
}

// The id of a trace is the caller's choice: it must not choose the recording, too.
func TestTraceIDsDoNotDecideAboutRecording(t *testing.T) {
	t.Parallel()
	tracer, flush := exporting(t, testkit.NewSpans(t), 0.5)
	defer flush()
	for _, in := range []http.Header{
		header("traceparent", "00-"+strings.Repeat("f", 32)+"-1234567890123456-01"),
		header("X-Trace-ID", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
		header("X-Trace-ID", "00000000-0000-0000-0000-000000000001"),
	} {
		recorded := 0
		for range 1000 {
			_, span := tracer.StartServer(t.Context(), in, "x", false)
			if span.IsRecording() {
				recorded++
			}
			span.End()
		}
		if recorded < 400 || recorded > 600 {
			t.Errorf("%v: %d of 1000 recorded, want about half", in, recorded)
		}
	}
}

func TestChildOnlyOfARecordedSpan(t *testing.T) {
	t.Parallel()
	r := testkit.NewSpans(t)
	tracer, flush := exporting(t, r, 1)
	ctx, server := tracer.StartServer(t.Context(), header(), "GET /users/:id", false)
	_, child := tracing.Child(ctx, trace.SpanKindClient, "SELECT users")
	child.End()
	server.End()
	silently, _ := silent(t).StartServer(t.Context(), header(), "GET /users/:id", false)
	same, nothing := tracing.Child(silently, trace.SpanKindClient, "nothing")
	nothing.End()
	if same != silently {
		t.Error("a span that is not recorded changed the context")
	}
	flush()
	spans := r.All()
	if len(spans) != 2 || spans[0].Name != "SELECT users" || spans[0].Kind != "CLIENT" || spans[0].Parent != spans[1].ID {
		t.Errorf("spans %+v", spans)
	}
}

func TestSampling(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		ratio    float64
		min, max int
	}{{0, 0, 0}, {0.1, 60, 140}, {0.5, 430, 570}, {1, 1000, 1000}} {
		tracer, flush := exporting(t, testkit.NewSpans(t), tc.ratio)
		recorded := 0
		for range 1000 {
			_, span := tracer.StartServer(t.Context(), header(), "root", true)
			if span.IsRecording() != span.SpanContext().IsSampled() {
				t.Fatal("recording and sampled flag differ")
			}
			if span.IsRecording() {
				recorded++
			}
		}
		if recorded < tc.min || recorded > tc.max {
			t.Errorf("ratio %v recorded %d of 1000 traces", tc.ratio, recorded)
		}
		for flags, want := range map[string]bool{"00": false, "01": true} {
			_, span := tracer.StartServer(t.Context(), header("traceparent", "00-"+traceA+"-1234567890123456-"+flags), "child", true)
			if span.IsRecording() != want {
				t.Errorf("ratio %v: a caller's decision %s was not followed", tc.ratio, flags)
			}
		}
		flush()
	}
}

func TestWithoutEndpointNothingRecords(t *testing.T) {
	t.Parallel()
	tracer := silent(t)
	ctx, span := tracer.Start(t.Context(), "root")
	if span.IsRecording() || !span.SpanContext().IsValid() || tracing.SpanID(ctx) == "" {
		t.Errorf("span %v, recording: %v", span.SpanContext(), span.IsRecording())
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	var zero tracing.Tracer
	if _, span := zero.Start(t.Context(), "root"); !span.SpanContext().IsValid() {
		t.Error("the zero Tracer starts no span")
	}
}

func TestOpenRefusesBadEndpoint(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"localhost:4318", "ftp://host", "http://", "http://a b", "://"} {
		if _, err := tracing.Open(t.Context(), tracing.Config{Endpoint: endpoint}, "user-service"); err == nil {
			t.Errorf("endpoint %q was accepted", endpoint)
		}
	}
}

func TestShutdownHasADeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hung.Close)
	t.Cleanup(func() { close(release) })
	tracer, err := tracing.Open(t.Context(), tracing.Config{Endpoint: hung.URL, SampleRatio: 1}, "user-service")
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Start(t.Context(), "root")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Shutdown(ctx); err == nil {
		t.Error("Shutdown reported success with a receiver that hangs")
	}
}

// What travels with a message is kept with it: of a long tracestate only its first
// members do.
func TestCarriedStateIsBounded(t *testing.T) {
	t.Parallel()
	member := func(key string) string { return key + "=" + strings.Repeat("v", 200) }
	ctx := tracing.WithCarrier(t.Context(), parentA, member("a")+","+member("b")+","+member("c"))
	if _, state := tracing.Carrier(ctx); state != member("a")+","+member("b") {
		t.Errorf("%d bytes: %s", len(state), state)
	}
}
