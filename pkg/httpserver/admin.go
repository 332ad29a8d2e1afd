package httpserver

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/go-troika/troika/pkg/metrics"
)

// Admin serves what only operators should read: metrics and profiles.
// It is safe for concurrent use.
type Admin struct {
	host *host
}

// NewAdmin returns a server for addr ("host:port") with /metrics, /debug/pprof/
// and the handlers in extra by their patterns (see [http.ServeMux]). It asks for no
// token, so addr must not be reachable from outside.
func NewAdmin(addr string, m *metrics.Metrics, extra map[string]http.Handler) *Admin {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for pattern, h := range extra {
		mux.Handle(pattern, h)
	}
	return &Admin{host: newHost(addr, mux, adminConfig(), nil)}
}

// adminConfig leaves time to take a profile.
func adminConfig() Config {
	return Config{Write: 5 * time.Minute, Shutdown: time.Second}.withDefaults()
}

// Listen binds the address; it fails when that is taken. Calling it is optional.
func (a *Admin) Listen() error { return a.host.listen() }

// Addr returns the address the server listens on, "" before it does.
func (a *Admin) Addr() string { return a.host.address() }

// Run serves until ctx ends. Requests in flight then get 1 s.
func (a *Admin) Run(ctx context.Context) error { return a.host.run(ctx) }
