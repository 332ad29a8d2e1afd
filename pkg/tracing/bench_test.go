package tracing_test

import (
	"net/http"
	"testing"

	"github.com/go-troika/troika/pkg/tracing"
)

func BenchmarkStartServer(b *testing.B) {
	tracer := silent(b)
	for name, in := range map[string]http.Header{
		"fresh":     header(),
		"continued": header("traceparent", parentA, "X-Request-ID", "5a1b2c3d-0000-4000-8000-000000000000"),
	} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.StartServer(ctx, in, "GET /users/:id", true)
				span.End()
			}
		})
	}
}

func BenchmarkInject(b *testing.B) {
	ctx, span := silent(b).StartServer(b.Context(), header("traceparent", parentA), "test", true)
	defer span.End()
	b.ReportAllocs()
	for b.Loop() {
		tracing.Inject(ctx, make(http.Header, 8), "user-service")
	}
}
