package httpserver

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
)

var (
	errNoRoute  = fault.New(fault.NotFound, "not_found", "Not found")
	errNoMethod = fault.New(fault.MethodNotAllowed, "method_not_allowed", "Method not allowed")
)

// Server serves one service's API. Routes are added before [Server.Run]; apart
// from that it is safe for concurrent use.
type Server struct {
	cfg  Config
	deps Deps

	engine *gin.Engine
	router *gin.RouterGroup
	ready  readiness
	host   *host

	limiter  *limiter
	draining atomic.Bool
	drained  context.Context // is done once the server drains
	drain    context.CancelFunc
}

// New returns a server with the probes /health, /livez and /readyz and no other
// route. It does not listen yet.
func New(cfg Config, d Deps) *Server {
	s := &Server{cfg: cfg.withDefaults(), deps: d, limiter: newLimiter(cfg.InFlight)}
	s.drained, s.drain = context.WithCancel(context.Background())
	s.ready.log = d.Log
	s.engine = newEngine()
	s.engine.NoRoute(s.serve, Handle(func(*gin.Context) error { return errNoRoute }))
	s.engine.NoMethod(s.serve, Handle(func(c *gin.Context) error {
		if allow := c.Writer.Header()["Allow"]; len(allow) == 1 && strings.Contains(allow[0], http.MethodGet) {
			allow[0] += ", " + http.MethodHead
		}
		return errNoMethod
	}))
	s.router = s.engine.Group("/", s.serve)

	probes := s.engine.Group("/", s.probe)
	probes.GET("/health", Handle(s.health))
	probes.GET("/livez", Handle(live))
	probes.GET("/readyz", Handle(s.readyz))

	addr := net.JoinHostPort(s.cfg.Host, strconv.Itoa(cfg.Port))
	s.host = newHost(addr, s, s.cfg, slog.NewLogLogger(d.Log.Handler(), slog.LevelWarn))
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

// Router returns where a service adds its routes.
func (s *Server) Router() gin.IRouter { return s.router }

// Routes returns all routes, the server's own included.
func (s *Server) Routes() gin.RoutesInfo { return s.engine.Routes() }

// Callers is the function [Callers] with the server's own verifier.
func (s *Server) Callers(names ...string) gin.HandlerFunc {
	return Callers(s.deps.Verifier, names...)
}

// ServeHTTP serves one request; it is what [Server.Run] serves, for tests and for
// embedding. HEAD is answered wherever GET is.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	switch {
	case r.ContentLength > s.cfg.MaxBody:
		r.Body = oversized(w, r.Body)
	case r.Body != nil && r.Body != http.NoBody:
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)
	}
	s.engine.ServeHTTP(w, r)
}

// oversized is a body whose announced length is enough to refuse it, without
// waiting for any of it. That a limit is hit, at the first byte of a stand-in, has
// net/http linger before it closes, so that the client gets to read the answer.
func oversized(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	standIn := struct {
		io.Reader
		io.Closer
	}{strings.NewReader("x"), body}
	return http.MaxBytesReader(w, standIn, 0)
}
