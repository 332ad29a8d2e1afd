package httpserver

import (
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/go-troika/troika/pkg/metrics"
)

// Admin serves metrics, profiles and the operator's routes. It is safe for concurrent use.
type Admin struct{ *host }

// profileTimeout is the write timeout of the admin port: taking a profile is slow.
const profileTimeout = 5 * time.Minute

// NewAdmin returns a server for addr ("host:port") with /metrics, /debug/pprof/
// and the handlers in extra by their patterns (see [http.ServeMux]). It requires no
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
	return &Admin{newHost(addr, mux, profileTimeout, time.Second, nil)}
}
