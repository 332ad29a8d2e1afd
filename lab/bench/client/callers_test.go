package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

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

// bare is the index of the way that the others are compared with.
const bare = 0

// ways are:
//
//   - bare: a tuned net/http client as any careful caller writes it. It has our transport and a timeout of
//     5 s, reads the whole response up to 1 MiB, and decodes it. It adds no header, knows one address, and
//     promises nothing.
//   - minimal: bare without the timeout and the limit
//   - byhand: bare with the headers of untraced, set by hand
//   - plain: serviceclient with what it cannot do without
//   - untraced: with a token and metrics, as a service has them
//   - service: and with trace ids in the headers, but without an exporter
//   - traced: and with every call recorded as a span and exported
//
// The server is another process.
func ways(t testing.TB) []way {
	t.Helper()
	server := startServer(t)
	transport := serviceclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	reg, err := registry.New(registry.Config{URLs: map[string]string{target: server.calls}}, registry.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	plain := serviceclient.Deps{Service: caller, Registry: reg, Transport: transport}
	untraced := plain
	untraced.Signer, untraced.Metrics = signer(t), metrics.New(caller)
	service, traced := untraced, untraced
	service.Metrics, traced.Metrics = metrics.New(caller), metrics.New(caller) // one client each
	service.Tracer = openTracer(t, tracing.Config{})
	traced.Tracer = openTracer(t, tracing.Config{Endpoint: server.spans, SampleRatio: 1})

	ctx := tracing.WithRequestID(context.Background(), "req-1") // the server's part
	recorded, span := traced.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	t.Cleanup(func() { span.End() })
	url := server.calls + path
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	return []way{
		{"bare", func() error { return callBare(ctx, client, url, none) }},
		{"minimal", func() error { return callMinimal(ctx, &http.Client{Transport: transport}, url) }},
		{"byhand", func() error { return callBare(ctx, client, url, headers(untraced.Signer)) }},
		{"plain", through(ctx, plain)},
		{"untraced", through(ctx, untraced)},
		{"service", through(ctx, service)},
		{"traced", through(recorded, traced)},
	}
}

func none(http.Header) error { return nil }

// headers sets what an untraced call sends.
func headers(s *serviceauth.Signer) func(http.Header) error {
	return func(h http.Header) error {
		token, err := s.Token(target)
		h.Set("Accept", "application/json")
		h.Set("X-Service-Name", caller)
		h.Set("X-Request-Id", "req-1")
		h.Set("X-Request-Timeout-Ms", "5000")
		h.Set("X-Service-Token", token)
		return err
	}
}

func callBare(ctx context.Context, client *http.Client, url string, prepare func(http.Header) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if err := prepare(req.Header); err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var out account
	return json.Unmarshal(body, &out)
}

func callMinimal(ctx context.Context, client *http.Client, url string) error {
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
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(serviceauth.DemoSecret)}, "gateway", "test")
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
