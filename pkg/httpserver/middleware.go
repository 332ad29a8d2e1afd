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

// Header lines that all answers share.
var (
	nosniff = []string{"nosniff"}
	noStore = []string{"no-store"}
	closing = []string{"close"}
)

// silent gives probes their ids without a span to export.
var silent tracing.Tracer

// serve is the middleware around every route of the API, in one function because
// it is on the path of every request.
func (s *Server) serve(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, span := s.deps.Tracer.StartServer(c.Request.Context(), c.Request.Header, x.route)
	defer span.End()
	patience := s.patience(c.Request.Header)
	x.hurried = patience < s.cfg.HandlerTimeout
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := place{server: s}
	defer p.leave()
	c.Request = c.Request.WithContext(context.WithValue(ctx, placeKey{}, &p))
	s.stamp(ctx, c.Writer.Header())
	defer s.report(c, span, &x)
	if x.err = next(c); x.err != nil {
		x.fail(c)
	}
}

// probe is the middleware of what anybody may ask: health and documentation.
func (s *Server) probe(c *gin.Context) {
	x := exchange{start: time.Now(), route: c.FullPath()}
	ctx, _ := silent.StartServer(c.Request.Context(), c.Request.Header, x.route)
	c.Request = c.Request.WithContext(ctx)
	s.stamp(ctx, c.Writer.Header())
	if x.err = next(c); x.err != nil {
		x.fail(c)
		s.log(c, &x)
	}
}

// patience answers how long a request may take: the server's own limit, or less
// if the caller will not wait that long.
func (s *Server) patience(h http.Header) time.Duration {
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

// stamp writes the headers that every answer has.
func (s *Server) stamp(ctx context.Context, h http.Header) {
	ids := []string{tracing.TraceID(ctx), tracing.SpanID(ctx), tracing.RequestID(ctx)}
	h[tracing.HeaderTraceID] = ids[0:1:1]
	h[tracing.HeaderSpanID] = ids[1:2:2]
	h[tracing.HeaderRequestID] = ids[2:3:3]
	h[tracing.HeaderServiceName] = s.service
	h["X-Content-Type-Options"] = nosniff
	h["Cache-Control"] = noStore
	if s.draining.Load() {
		h["Connection"] = closing
	}
}

// next runs the rest of the chain and answers the error it ended with.
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

// gone tells whether the client hung up before it had an answer.
func gone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
