package serviceclient_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	caller = "order-service"
	target = "user-service"
)

type account struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

const ann = `{"id":"1","name":"Ann","joined":"a field the caller does not know"}`

// bundle is a client and all that can be watched about it.
type bundle struct {
	*serviceclient.Client
	registry *registry.Registry
	metrics  *metrics.Metrics
	log      *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

// setup returns a client of the instances at urls, with a separate transport.
func setup(t testing.TB, cfg serviceclient.Config, urls ...string) *bundle {
	t.Helper()
	transport := serviceclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return setupOver(t, transport, cfg, urls...)
}

func setupOver(t testing.TB, transport http.RoundTripper, cfg serviceclient.Config, urls ...string) *bundle {
	t.Helper()
	reg, err := registry.New(registry.Config{URLs: map[string]string{target: strings.Join(urls, ",")}}, registry.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := tracing.Open(context.Background(), tracing.Config{}, caller)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{registry: reg, metrics: metrics.New(caller), log: new(lines)}
	b.Client = serviceclient.New(target, cfg, serviceclient.Deps{
		Service: caller, Registry: reg, Signer: serviceauth.NewSigner(keys(t), caller), Tracer: tracer,
		Metrics: b.metrics, Log: slog.New(slog.NewTextHandler(b.log, nil)), Transport: transport,
	})
	return b
}

func keys(t testing.TB) serviceauth.Keys {
	t.Helper()
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(serviceauth.DemoSecret)}, caller, "test")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// serve returns the URL of an instance that lives as long as the test.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// dead returns a URL where nobody listens.
func dead(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func get(t testing.TB, b *bundle, path string) (account, error) {
	t.Helper()
	return serviceclient.Get[account](t.Context(), b.Client, path)
}
