package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// host listens on one address and serves one handler until stopped.
type host struct {
	addr     string
	shutdown time.Duration
	server   *http.Server

	mu        sync.Mutex
	listener  net.Listener
	listening chan struct{}
}

func newHost(addr string, h http.Handler, cfg Config, errorLog *log.Logger) *host {
	return &host{
		addr:      addr,
		shutdown:  cfg.Shutdown,
		listening: make(chan struct{}),
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: cfg.ReadHeader,
			ReadTimeout:       cfg.Read,
			WriteTimeout:      cfg.Write,
			IdleTimeout:       cfg.Idle,
			MaxHeaderBytes:    cfg.MaxHeader,
			ErrorLog:          errorLog,
		},
	}
}

// maxConnections is how many connections are open at most; further ones wait. An idle
// one costs about 20 KB.
const maxConnections = 4096

func (h *host) listen() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.listener = netutil.LimitListener(l, maxConnections)
	close(h.listening)
	return nil
}

func (h *host) address() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// run serves until ctx ends, then lets the requests in flight finish.
func (h *host) run(ctx context.Context) error {
	if err := h.listen(); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := h.stop(context.WithoutCancel(ctx))
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", end))
	}
	return err
}

// stop waits for the requests in flight; those that outlast the deadline lose
// their connections.
func (h *host) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.shutdown)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("shut down: %w", err), h.server.Close())
}

// Listen binds the port, so that connections queue until [Server.Run] serves
// them. It fails when the port is taken. Calling it is optional.
func (s *Server) Listen() error { return s.host.listen() }

// Listening returns a channel that is closed once the port is bound.
func (s *Server) Listening() <-chan struct{} { return s.host.listening }

// Addr returns the address the server listens on, "" before it does.
func (s *Server) Addr() string { return s.host.address() }

// Run listens, unless [Server.Listen] has, and serves until ctx ends. Then it
// stops accepting and gives the requests in flight [Config].Shutdown to finish;
// past that it closes their connections and returns an error. A server runs once.
func (s *Server) Run(ctx context.Context) error { return s.host.run(ctx) }

// Drain makes clients go elsewhere: from now on /readyz returns 503 and
// every answer closes its connection. Requests are served as before; those whose
// body has not come yet have a second for the rest.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.drain()
}
