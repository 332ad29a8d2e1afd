package serviceclient

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Config configures a Client. The zero value of each field means its default.
type Config struct {
	Timeout        time.Duration  // Whole call with all attempts and waits; default 5 s.
	AttemptTimeout time.Duration  // One attempt, from the dial to the last byte; default 2 s.
	Retries        int            // Attempts after the first; default 2, negative for none.
	MaxBody        int64          // Longest response body in bytes; default 1 MiB.
	Concurrency    int            // Attempts at a time; default 64.
	Breaker        breaker.Config // Classify is set by the client.
	Background     bool           // No request waits for the calls: breaker and traces are not exported, failures logged for debugging.
}

// Deps are the parts a Client works with. Only Registry is required.
type Deps struct {
	Service   string // The caller's name, sent as X-Service-Name.
	Registry  *registry.Registry
	Signer    *serviceauth.Signer
	Tracer    *tracing.Tracer
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	Transport http.RoundTripper // Default: one tuned transport shared by the process.
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.AttemptTimeout = cmp.Or(c.AttemptTimeout, 2*time.Second)
	c.Retries = max(cmp.Or(c.Retries, 2), 0)
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20)
	c.Concurrency = cmp.Or(c.Concurrency, 64)
	c.Breaker.Classify = classify
	return c
}
