package httpserver

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Config configures a server: its address and its limits. Every zero value
// but those of Port and InFlight means its default.
type Config struct {
	// Host is the address to listen on: one of this machine's, or 0.0.0.0 or :: for all
	// of them. Only this machine can reach the default.
	Host string `env:"LISTEN_HOST" envDefault:"127.0.0.1" validate:"ip"`
	// Port to listen on; 0 takes any free one.
	Port int `env:"PORT" validate:"min=0,max=65535"`

	ReadHeader time.Duration // until the headers have come, default 5 s
	Read       time.Duration // until the body has come, default 15 s
	Write      time.Duration // from the headers to the end of the answer, default 30 s
	Idle       time.Duration // an unused connection is kept, default 75 s
	Shutdown   time.Duration // for the requests in flight at the end, default 10 s

	// HandlerTimeout is the longest a handler may take, default 10 s. A caller
	// asks for less with X-Request-Timeout-Ms.
	HandlerTimeout time.Duration

	MaxHeader int   // bytes of request line and headers, default 32 KiB
	MaxBody   int64 // bytes of a request body, default 1 MiB
	InFlight  int   // requests of known callers served at once; 0 means no limit
}

func (c Config) withDefaults() Config {
	c.Host = cmp.Or(c.Host, "127.0.0.1")
	c.ReadHeader = cmp.Or(c.ReadHeader, 5*time.Second)
	c.Read = cmp.Or(c.Read, 15*time.Second)
	c.Write = cmp.Or(c.Write, 30*time.Second)
	c.Idle = cmp.Or(c.Idle, 75*time.Second)
	c.Shutdown = cmp.Or(c.Shutdown, 10*time.Second)
	c.HandlerTimeout = cmp.Or(c.HandlerTimeout, 10*time.Second)
	c.MaxHeader = cmp.Or(c.MaxHeader, 32<<10)
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20)
	return c
}

// Deps is what a server works with. Service, Log, Tracer and Metrics are needed.
type Deps struct {
	Service  string // its name, answered as X-Service-Name
	Log      *slog.Logger
	Tracer   *tracing.Tracer
	Metrics  *metrics.Metrics
	Verifier *serviceauth.Verifier // for [Server.Callers]; nil if unused
}
