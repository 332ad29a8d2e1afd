package httpserver

import (
	"context"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/tracing"
)

// noopTracer creates the ids of probes, without a span to export.
var noopTracer tracing.Tracer

// serve is the middleware of every route of the API.
func (s *Server) serve(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, span := s.deps.Tracer.StartServer(c.Request.Context(), c.Request.Header, x.route, s.trusts(c.Request.Header))
	defer span.End()
	timeout := s.requestTimeout(c.Request.Header)
	x.shortDeadline = timeout < s.handlerTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	s.setHeaders(ctx, c.Writer.Header())
	defer s.report(c, span, &x)
	if x.err = next(c); x.err != nil {
		x.fail(c)
	}
}

// trusts reports whether h are those of a service, whose decision to record a trace is taken over.
// People's are not: everyone can register.
func (s *Server) trusts(h http.Header) bool {
	if _, traced := h["Traceparent"]; !traced {
		return false
	}
	_, err := s.deps.Verifier.Verify(h)
	return err == nil
}

// probe is the middleware of routes without authentication: health and documentation.
func (s *Server) probe(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, _ := noopTracer.StartServer(c.Request.Context(), c.Request.Header, x.route, false)
	c.Request = c.Request.WithContext(ctx)
	s.setHeaders(ctx, c.Writer.Header())
	if x.err = next(c); x.err != nil {
		x.fail(c)
		s.log(c, &x)
	}
}

// requestTimeout returns the time for a request: the server's own limit, or less if the
// caller does not wait that long.
func (s *Server) requestTimeout(h http.Header) time.Duration {
	limit := s.handlerTimeout
	lines := h.Values(tracing.HeaderTimeout)
	if len(lines) != 1 {
		return limit
	}
	ms, err := strconv.ParseUint(lines[0], 10, 31)
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
	if s.draining.Err() != nil {
		h.Set("Connection", "close")
	}
}

// next runs the rest of the chain and returns the error it ended with.
func next(c *gin.Context) (err error) {
	defer func() {
		switch value := recover(); value {
		case nil:
		case http.ErrAbortHandler: // net/http aborts the connection without a log line
			panic(value)
		default:
			err = &panicError{value: value, stack: string(debug.Stack())}
		}
	}()
	c.Next()
	if last := c.Errors.Last(); last != nil {
		return last.Err
	}
	return nil
}
