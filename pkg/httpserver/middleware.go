package httpserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/tracing"
)

const headerTimeout = "X-Request-Timeout-Ms"

var errOverloaded = fault.New(fault.Unavailable, "overloaded", "Too many requests at once").
	WithRetryAfter(time.Second)

// noopTracer gives probes ids without a span to export.
var noopTracer tracing.Tracer

// serve is the middleware of every route of the API.
func (s *Server) serve(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, span := s.deps.Tracer.StartServer(c.Request.Context(), c.Request.Header, x.route)
	defer span.End()
	timeout := s.requestTimeout(c.Request.Header)
	x.shortDeadline = timeout < s.cfg.HandlerTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := place{server: s}
	defer p.leave()
	c.Request = c.Request.WithContext(context.WithValue(ctx, placeKey{}, &p))
	s.setHeaders(ctx, c.Writer.Header())
	defer s.report(c, span, &x)
	if x.err = next(c); x.err != nil {
		x.fail(c)
	}
}

// probe is the middleware of routes without authentication: health and documentation.
func (s *Server) probe(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, _ := noopTracer.StartServer(c.Request.Context(), c.Request.Header, x.route)
	c.Request = c.Request.WithContext(ctx)
	s.setHeaders(ctx, c.Writer.Header())
	if x.err = next(c); x.err != nil {
		x.fail(c)
		s.log(c, &x)
	}
}

// requestTimeout returns how long a request may take: the server's own limit, or less
// if the caller will not wait that long.
func (s *Server) requestTimeout(h http.Header) time.Duration {
	limit := s.cfg.HandlerTimeout
	line := h[headerTimeout]
	if len(line) != 1 {
		return limit
	}
	ms, err := strconv.ParseUint(line[0], 10, 31)
	if err != nil || ms == 0 {
		return limit
	}
	return min(limit, time.Duration(ms)*time.Millisecond)
}

// setHeaders sets the headers that every response has.
func (s *Server) setHeaders(ctx context.Context, h http.Header) {
	h.Set(tracing.HeaderTraceID, tracing.TraceID(ctx))
	h.Set(tracing.HeaderSpanID, tracing.SpanID(ctx))
	h.Set(tracing.HeaderRequestID, tracing.RequestID(ctx))
	h.Set(tracing.HeaderServiceName, s.deps.Service)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if s.draining.Load() {
		h.Set("Connection", "close")
	}
}

// next runs the rest of the chain and returns the error it ended with.
func next(c *gin.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = caught(value)
		}
	}()
	c.Next()
	if last := c.Errors.Last(); last != nil {
		return last.Err
	}
	return nil
}

// gone reports whether the client disconnected before it had a response.
func gone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
