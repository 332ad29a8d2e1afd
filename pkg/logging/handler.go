package logging

import (
	"context"
	"log/slog"
	"slices"

	"github.com/go-troika/troika/pkg/tracing"
)

// handler adds the ids in the context to each record, at the top level even when the
// logger has a group open. For that it opens the groups only after it has added the ids.
type handler struct {
	levels *Levels
	next   slog.Handler
	open   []func(slog.Handler) slog.Handler // the first group and all that follows it
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.levels.least() }

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if !h.levels.enabled(r) {
		return nil
	}
	r.Time = r.Time.UTC()
	next := h.next.WithAttrs(contextAttrs(ctx))
	for _, open := range h.open {
		next = open(next)
	}
	return next.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(h.open) == 0 {
		return &handler{levels: h.levels, next: h.next.WithAttrs(attrs)}
	}
	return h.then(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	return h.then(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *handler) then(open func(slog.Handler) slog.Handler) *handler {
	return &handler{levels: h.levels, next: h.next, open: append(slices.Clone(h.open), open)}
}

// contextAttrs returns the ids that ctx carries.
func contextAttrs(ctx context.Context) []slog.Attr {
	var attrs []slog.Attr
	if id := tracing.TraceIDHex(ctx); id != "" {
		attrs = append(attrs, slog.String("trace_id", id), slog.String("span_id", tracing.SpanID(ctx)),
			slog.String("x_trace_id", tracing.TraceID(ctx)))
	}
	if id := tracing.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	return attrs
}
