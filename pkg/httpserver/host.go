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
	server   *http.Server
	shutdown time.Duration

	mu       sync.Mutex
	listener net.Listener
}

func newHost(addr string, h http.Handler, write, shutdown time.Duration, errorLog *log.Logger) *host {
	return &host{
		shutdown: shutdown,
		server: &http.Server{
			Addr:              addr,
			Handler:           h,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      write,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          errorLog,
		},
	}
}

// Listen binds the port, so that connections queue until Run serves them. It fails if the
// port is taken. Calling it is optional; a second call does nothing.
func (h *host) Listen() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", h.server.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.listener = netutil.LimitListener(l, maxConnections)
	return nil
}

// Addr returns the address the server listens on, "" before it does.
func (h *host) Addr() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// Run listens, unless Listen has, and serves until ctx ends. Then it stops accepting and
// waits for the requests in flight: [Config].Shutdown, or 1 s on the admin port. After that
// it closes their connections and returns an error. A server runs once.
func (h *host) Run(ctx context.Context) error {
	if err := h.Listen(); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.shutdown)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down: %w", err), h.server.Close())
	}
	<-served // http.ErrServerClosed
	return err
}
