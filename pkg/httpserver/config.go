package httpserver

import (
	"log/slog"
	"time"

	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Config configures a server: its address and its limits.
type Config struct {
	// Host is the address to listen on: one of this machine's, or 0.0.0.0 or :: for all
	// of them. Only this machine can reach the default.
	Host string `env:"LISTEN_HOST" envDefault:"127.0.0.1" validate:"ip"`
	// Port to listen on; 0 takes any free one.
	Port int `env:"PORT" validate:"min=0,max=65535"`
	// TrustedProxies are the networks (CIDR) of the load balancers whose X-Forwarded-For
	// counts; none by default.
	TrustedProxies Networks `env:"TRUSTED_PROXIES"`

	// HandlerTimeout is the longest time a handler may take; 0 means 10 s. A caller
	// shortens it with X-Request-Timeout-Ms.
	HandlerTimeout time.Duration
	// Shutdown is the time for requests in flight when the server stops; 0 means 10 s.
	Shutdown time.Duration
	// Audit logs each request that may change something, with its caller, at level info.
	Audit bool
	// InFlight is the number of requests of known callers served at once; 0 means no limit.
	InFlight int
}

// Limits of every server.
const (
	handlerTimeout    = 10 * time.Second
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // headers and body
	writeTimeout      = 30 * time.Second // from the headers to the end of the response
	idleTimeout       = 75 * time.Second // longer than the clients', so that they close first
	shutdownTimeout   = 10 * time.Second
	drainBodyTimeout  = time.Second // for the rest of a body once the server drains
	maxHeader         = 32 << 10    // bytes of request line and headers
	maxBody           = 1 << 20     // bytes of a request body
	maxConnections    = 4096        // further ones wait; an idle one costs about 20 KB
)

// Deps are the parts a server works with. Service, Log, Tracer and Metrics are required.
type Deps struct {
	Service  string // sent as X-Service-Name
	Log      *slog.Logger
	Tracer   *tracing.Tracer
	Metrics  *metrics.Metrics
	Verifier *serviceauth.Verifier // for [Callers]; nil if unused
}
