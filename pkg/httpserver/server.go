package httpserver

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/userauth"
)

var (
	errNoRoute  = fault.New(fault.NotFound, "not_found", "Not found")
	errNoMethod = fault.New(fault.MethodNotAllowed, "method_not_allowed", "Method not allowed")
)

// Server serves one service's API. Routes are added before [Server.Run]; apart
// from that it is safe for concurrent use.
type Server struct {
	*host
	deps           Deps
	handlerTimeout time.Duration
	proxies        []netip.Prefix
	audit          bool
	users          *userauth.Verifier // nil for none

	engine  *gin.Engine
	api     *gin.RouterGroup
	access  map[string]Access // by method and path
	ready   readiness
	limiter limiter
	denials denials

	draining context.Context // is done once the server drains
	drain    context.CancelFunc
}

// New returns a server with the probes /health, /livez and /readyz and no other
// route. It does not listen yet.
func New(cfg Config, d Deps) *Server {
	s := &Server{
		deps:           d,
		handlerTimeout: cmp.Or(cfg.HandlerTimeout, handlerTimeout),
		proxies:        cfg.TrustedProxies,
		audit:          cfg.Audit,
		engine:         newEngine(),
		access:         map[string]Access{},
		ready:          readiness{log: d.Log},
		limiter:        limiter{limit: cfg.InFlight, callers: map[string]int{}},
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.engine.NoRoute(s.serve, Handle(func(*gin.Context) error { return errNoRoute }))
	s.engine.NoMethod(s.serve, Handle(func(c *gin.Context) error {
		if allow := c.Writer.Header()["Allow"]; len(allow) == 1 && strings.Contains(allow[0], http.MethodGet) {
			allow[0] += ", " + http.MethodHead
		}
		return errNoMethod
	}))
	s.api = s.engine.Group("/", s.serve)

	s.open("/health", Handle(s.health))
	s.open("/livez", Handle(live))
	s.open("/readyz", Handle(s.readyz))

	s.host = newHost(net.JoinHostPort(cmp.Or(cfg.Host, "127.0.0.1"), strconv.Itoa(cfg.Port)), s, writeTimeout,
		cmp.Or(cfg.Shutdown, shutdownTimeout), slog.NewLogLogger(d.Log.Handler(), slog.LevelWarn))
	return s
}

// newEngine returns gin without its logger, recovery, redirects and trust in
// forwarding headers.
func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.ForwardedByClientIP = false
	e.ContextWithFallback = true
	return e
}

// open adds a route of the server's own, which needs no token.
func (s *Server) open(path string, h gin.HandlerFunc) {
	s.access[http.MethodGet+" "+path] = Public()
	s.engine.GET(path, s.probe, h)
}

// Drain makes clients go elsewhere: from now on /readyz returns 503 and every response
// closes its connection. Requests are served as before; those whose body has not arrived
// yet have a second for the rest.
func (s *Server) Drain() { s.drain() }

// ServeHTTP serves one request; it is what [Server.Run] serves, for tests and for
// embedding. HEAD is served on every route of GET.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	switch {
	case r.ContentLength > maxBody:
		r.Body = oversized(w, r.Body)
	case r.Body != nil && r.Body != http.NoBody:
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	s.engine.ServeHTTP(w, r)
}

// oversized returns a body that fails at once, because its announced length is over the
// limit. It exceeds a limit of 0 bytes with a stand-in, so that net/http lingers before it
// closes the connection and the client can read the response.
func oversized(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	standIn := struct {
		io.Reader
		io.Closer
	}{strings.NewReader("x"), body}
	return http.MaxBytesReader(w, standIn, 0)
}
