package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
	"github.com/go-troika/troika/pkg/userauth"
)

// statusGone is recorded for a client that did not wait for the response. It is
// nginx's code: RFC 9110 has none for it.
const statusGone = 499

// exchange is one request and how it ended.
type exchange struct {
	start time.Time
	route string // template, "" if unmatched
	err   error
	// shortDeadline reports that the caller waits for less time than the server would take.
	shortDeadline bool
}

// panicError is the error of a handler that panicked.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func isPanic(err error) bool {
	_, ok := errors.AsType[*panicError](err)
	return ok
}

// fail responds with the error that the handlers ended with.
func (x *exchange) fail(c *gin.Context) {
	ctx := c.Request.Context()
	switch {
	case c.Writer.Written():
		if isPanic(x.err) {
			// Aborts the connection: the client must not take half a response for a whole one.
			panic(http.ErrAbortHandler)
		}
	case errors.Is(ctx.Err(), context.Canceled):
		c.Status(statusGone)
	default:
		writeProblem(c, toFault(ctx, x.err))
	}
}

// toFault is the one place where an error becomes a response. An error caused by the
// passed deadline is a timeout.
func toFault(ctx context.Context, err error) *fault.Error {
	f := fault.From(err)
	if f.Kind() == fault.Internal && !isPanic(err) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.From(context.DeadlineExceeded).With(err)
	}
	return f
}

// report counts, traces and logs a request that is over.
func (s *Server) report(c *gin.Context, span trace.Span, x *exchange) {
	ctx, status := c.Request.Context(), c.Writer.Status()
	switch took := time.Since(x.start); {
	case x.impatient(ctx): // as if the client had disconnected, so that nobody can make this service look broken
		s.deps.Metrics.Request(ctx, c.Request.Method, x.route, statusGone, took)
	case errors.Is(x.err, errOverloaded):
		s.deps.Metrics.Excused(ctx, c.Request.Method, x.route, status, took)
	default:
		s.deps.Metrics.Request(ctx, c.Request.Method, x.route, status, took)
	}
	if isPanic(x.err) {
		s.deps.Metrics.Panic()
	}
	if span.IsRecording() {
		describe(span, c.Request, x.route, status)
	}
	s.log(c, x)
}

// impatient reports whether the caller gave this service less time than the server does, and that
// was over before the response.
func (x *exchange) impatient(ctx context.Context) bool {
	return x.err != nil && !isPanic(x.err) && x.shortDeadline && errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// log writes the one line about a request.
func (s *Server) log(c *gin.Context, x *exchange) {
	ctx, status := c.Request.Context(), c.Writer.Status()
	level := levelOf(status, x.err)
	if x.impatient(ctx) {
		level = slog.LevelDebug
	}
	audited := s.audit && c.Request.Method != http.MethodGet
	if audited {
		level = max(level, slog.LevelInfo)
	}
	if !s.deps.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", c.Request.Method),
		slog.String("route", x.route),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(time.Since(x.start).Microseconds())/1000),
	}
	if caller := serviceauth.Caller(ctx); caller != "" {
		attrs = append(attrs, slog.String("caller", caller))
	} else if _, ok := userauth.User(ctx); ok {
		attrs = append(attrs, slog.String("caller", userCaller))
	}
	if audited {
		attrs = append(attrs, slog.String("client_address", s.ClientAddr(c.Request).String()))
	}
	if level > slog.LevelDebug && x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	if p, ok := errors.AsType[*panicError](x.err); ok {
		attrs = append(attrs, slog.String("stack", p.stack), headersOf(c.Request.Header))
	}
	s.deps.Log.LogAttrs(ctx, level, "request", attrs...)
}

// levelOf returns Error for failures of the service, Warn for its refusals and missed
// deadlines, and Debug for success and for errors of the caller. Refusals at the limit and
// by an open circuit breaker are counted; a line for each would flood the log.
func levelOf(status int, err error) slog.Level {
	switch {
	case isPanic(err): // even after the response was sent
		return slog.LevelError
	case err == nil, status >= 400 && status <= 499, errors.Is(err, errOverloaded), errors.Is(err, breaker.ErrOpen):
		return slog.LevelDebug
	case status > http.StatusInternalServerError:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// headersOf returns the headers that belong in a log: none with a secret or personal data.
func headersOf(h http.Header) slog.Attr {
	const maxLength = 200
	var attrs []any
	for _, name := range []string{
		"Accept", "Content-Length", "Content-Type", "User-Agent", tracing.HeaderServiceName, tracing.HeaderTimeout,
	} {
		if value := h.Get(name); value != "" {
			attrs = append(attrs, slog.String(name, value[:min(len(value), maxLength)]))
		}
	}
	return slog.Group("headers", attrs...)
}

// describe follows OpenTelemetry's semantic conventions for HTTP servers.
func describe(span trace.Span, r *http.Request, route string, status int) {
	method := metrics.Method(r.Method)
	if route == "" {
		span.SetName(method)
	} else {
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
	}
	span.SetAttributes(
		attribute.String("http.request.method", method),
		attribute.String("url.scheme", "http"),
		attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}
