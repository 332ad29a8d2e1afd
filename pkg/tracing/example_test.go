package tracing_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-troika/troika/pkg/tracing"
)

// A request that comes with a trace goes on with it in the calls it makes.
func Example() {
	ctx := context.Background()
	tracer, err := tracing.Open(ctx, tracing.Config{SampleRatio: 1}, "order-service")
	if err != nil {
		panic(err)
	}
	defer tracer.Shutdown(ctx)

	request := http.Header{}
	request.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Set("X-Request-ID", "checkout-17")
	ctx, span := tracer.StartServer(ctx, request, "POST /orders", true)
	defer span.End()

	call := http.Header{}
	tracing.Inject(ctx, call, "order-service")
	fmt.Println(call.Get("X-Trace-ID"))
	fmt.Println(call.Get("X-Request-ID"))
	fmt.Println(call.Get("X-Parent-Span-ID") == tracing.SpanID(ctx))
	// Output:
	// 0af76519-16cd-43dd-8448-eb211c80319c
	// checkout-17
	// true
}

// An event takes the trace of its publisher to its consumer.
func ExampleCarrier() {
	tracer := new(tracing.Tracer) // records nothing
	published := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	ctx, span := tracer.StartServer(context.Background(), published, "POST /users", true)
	traceparent, tracestate := tracing.Carrier(ctx)
	span.End()

	ctx = tracing.WithCarrier(context.Background(), traceparent, tracestate)
	ctx, span = tracer.Start(ctx, "consume user.created")
	defer span.End()
	fmt.Println(tracing.TraceID(ctx))
	// Output: 0af76519-16cd-43dd-8448-eb211c80319c
}
