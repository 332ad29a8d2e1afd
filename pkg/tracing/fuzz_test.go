package tracing_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/tracing"
)

// FuzzStartServer: whatever comes in, what goes out is well-formed, and going
// through a second service changes nothing but the span.
func FuzzStartServer(f *testing.F) {
	f.Add(parentA, "foo=1,bar=2", uuidA, "request-1")
	f.Add("cc-"+traceA+tail+"-x", "9@=1,,\t", "", "a b")
	f.Add("", "foo=1", strings.ToUpper(uuidA), "\x00")
	f.Fuzz(func(t *testing.T, parent, state, traceID, requestID string) {
		first := hop(t, http.Header{
			"Traceparent": {parent}, "Tracestate": {state}, "X-Trace-Id": {traceID}, "X-Request-Id": {requestID},
		})
		second := hop(t, first)
		for _, h := range []http.Header{first, second} {
			for _, changes := range []string{"Traceparent", "X-Parent-Span-Id"} {
				if h.Get(changes) == "" {
					t.Errorf("no %s", changes)
				}
			}
		}
		for _, name := range []string{"X-Trace-Id", "X-Request-Id", "Tracestate"} {
			if diff := cmp.Diff(first[name], second[name]); diff != "" {
				t.Errorf("%s changed on the second hop:\n%s", name, diff)
			}
		}
		if first.Get("Traceparent")[:35] != second.Get("Traceparent")[:35] {
			t.Errorf("trace %s became %s", first.Get("Traceparent"), second.Get("Traceparent"))
		}
	})
}

func hop(t *testing.T, in http.Header) http.Header {
	t.Helper()
	var tracer tracing.Tracer
	ctx, span := tracer.StartServer(t.Context(), in, "test", true)
	span.End()
	out := http.Header{}
	tracing.Inject(ctx, out, "user-service")
	return out
}
