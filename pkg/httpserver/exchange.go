package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// statusGone is what is recorded for a client that hung up, after nginx: no
// status of RFC 9110 says it, and it is not an error of ours.
const statusGone = 499

// exchange is one request and how it ended.
type exchange struct {
	start time.Time
	route string // template, "" if unmatched
	err   error
	// shortDeadline reports that the caller waits for less time than the server would take.
	shortDeadline bool
}

// fail responds with the error that the handlers ended with.
func (x *exchange) fail(c *gin.Context) {
	ctx := c.Request.Context()
	broken := c.Writer.Written()
	switch {
	case broken && isPanic(x.err):
		// The client must not take half an answer for a whole one. The deferred
		// report still runs.
		panic(http.ErrAbortHandler)
	case broken:
	case gone(ctx):
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
	status := c.Writer.Status()
	count := s.deps.Metrics.Request
	if x.excused(c.Request.Context()) {
		count = s.deps.Metrics.Excused
	}
	count(c.Request.Context(), c.Request.Method, x.route, status, time.Since(x.start))
	if isPanic(x.err) {
		s.deps.Metrics.Panic()
	}
	if span.IsRecording() {
		describe(span, c.Request, x.route, status)
	}
	s.log(c, x)
}

// excused reports whether the outcome says nothing about this service's health: the caller
// gave it less time than the server does, or it was turned away because others are
// served.
func (x *exchange) excused(ctx context.Context) bool {
	return errors.Is(x.err, errOverloaded) || x.shortDeadline && errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// log writes the one line about a request.
func (s *Server) log(c *gin.Context, x *exchange) {
	ctx, status := c.Request.Context(), c.Writer.Status()
	level := levelOf(status, x.err)
	if errors.Is(x.err, errOverloaded) { // counted; a line each would be a flood
		level = slog.LevelDebug
	}
	if s.deps.Log.Enabled(ctx, level) {
		s.deps.Log.LogAttrs(ctx, level, "request", x.attrs(c.Request, status)...)
	}
}

// levelOf makes an operator look at what is ours: errors of the service, then
// refusals and deadlines. All else is for debugging.
func levelOf(status int, err error) slog.Level {
	switch {
	case !isServiceError(status, err):
		return slog.LevelDebug
	case status > http.StatusInternalServerError:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// isServiceError reports whether an error is the service's and not its caller's. One after
// the response was sent is the service's too.
func isServiceError(status int, err error) bool {
	callers := status >= http.StatusBadRequest && status < http.StatusInternalServerError
	return err != nil && !callers || isPanic(err)
}

func (x *exchange) attrs(r *http.Request, status int) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("method", r.Method),
		slog.String("route", x.route),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(time.Since(x.start).Microseconds())/1000),
	}
	if caller := serviceauth.Caller(r.Context()); caller != "" {
		attrs = append(attrs, slog.String("caller", caller))
	}
	if !isServiceError(status, x.err) {
		return attrs
	}
	attrs = append(attrs, slog.String("error", x.err.Error()))
	if p, ok := errors.AsType[*panicError](x.err); ok {
		attrs = append(attrs, slog.String("stack", p.stack), headersOf(r.Header))
	}
	return attrs
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
