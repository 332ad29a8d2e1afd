package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
)

const (
	caller = "order-service"
	target = "user-service"
	path   = "/users/1"
)

type account struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// way is one way to make a call.
type way struct {
	name string
	call func() error
}

// ways are, with the bare client first:
//
//   - bare: net/http with the same transport; reads the answer and decodes it
//   - plain: serviceclient with what it cannot do without
//   - untraced: with a token and metrics, as a service has them
//   - service: and with trace ids in the headers, but without an exporter
//   - traced: and with every call recorded as a span and exported
func ways(t testing.TB) []way {
	t.Helper()
	calls, spans := startServer(t)
	transport := serviceclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	reg, err := registry.New(registry.Config{URLs: map[string]string{target: calls}}, registry.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	plain := serviceclient.Deps{Service: caller, Registry: reg, Transport: transport}
	untraced := plain
	untraced.Signer, untraced.Metrics = signer(t), metrics.New(caller)
	service, traced := untraced, untraced
	service.Tracer = openTracer(t, tracing.Config{})
	traced.Tracer = openTracer(t, tracing.Config{Endpoint: spans, SampleRatio: 1})

	ctx := tracing.WithRequestID(context.Background(), "req-1") // the server's part
	recorded, span := traced.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	t.Cleanup(func() { span.End() })
	return []way{
		{"bare", func() error { return callBare(ctx, &http.Client{Transport: transport}, calls+path) }},
		{"plain", through(ctx, plain)},
		{"untraced", through(ctx, untraced)},
		{"service", through(ctx, service)},
		{"traced", through(recorded, traced)},
	}
}

func callBare(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var out account
	return json.Unmarshal(body, &out)
}

func through(ctx context.Context, d serviceclient.Deps) func() error {
	client := serviceclient.New(target, serviceclient.Config{}, d)
	return func() error {
		_, err := serviceclient.Get[account](ctx, client, path)
		return err
	}
}

func signer(t testing.TB) *serviceauth.Signer {
	t.Helper()
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(serviceauth.DemoSecret)}, "test")
	if err != nil {
		t.Fatal(err)
	}
	return serviceauth.NewSigner(keys, caller)
}

func openTracer(t testing.TB, cfg tracing.Config) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.Open(context.Background(), cfg, caller)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracer.Shutdown(context.Background()); err != nil {
			t.Errorf("shut tracer down: %v", err)
		}
	})
	return tracer
}
