package logging

import (
	"context"
	"log/slog"
	"slices"

	"github.com/go-troika/troika/pkg/tracing"
)

// handler adds the ids in the context to each record, at the top level even when the
// logger has a group open. For that it keeps the open groups itself.
type handler struct {
	next   slog.Handler
	groups []group // outermost first
}

type group struct {
	name  string
	attrs []any
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time.UTC(), r.Level, r.Message, r.PC)
	line.AddAttrs(contextAttrs(ctx)...)
	if len(h.groups) == 0 {
		r.Attrs(func(a slog.Attr) bool {
			line.AddAttrs(a)
			return true
		})
	} else {
		line.AddAttrs(h.nest(r))
	}
	return h.next.Handle(ctx, line)
}

// nest puts the attributes of r into the innermost of the open groups.
func (h *handler) nest(r slog.Record) slog.Attr {
	innermost := len(h.groups) - 1
	attrs := slices.Clone(h.groups[innermost].attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	nested := slog.Group(h.groups[innermost].name, attrs...)
	for _, g := range slices.Backward(h.groups[:innermost]) {
		nested = slog.Group(g.name, append(slices.Clone(g.attrs), nested)...)
	}
	return nested
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(h.groups) == 0 {
		return &handler{next: h.next.WithAttrs(attrs)}
	}
	groups := slices.Clone(h.groups)
	last := &groups[len(groups)-1]
	last.attrs = slices.Clone(last.attrs)
	for _, a := range attrs {
		last.attrs = append(last.attrs, a)
	}
	return &handler{next: h.next, groups: groups}
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{next: h.next, groups: append(slices.Clone(h.groups), group{name: name})}
}

// contextAttrs returns the ids that ctx carries.
func contextAttrs(ctx context.Context) []slog.Attr {
	attrs := make([]slog.Attr, 0, 3)
	if id := tracing.TraceIDHex(ctx); id != "" {
		attrs = append(attrs, slog.String("trace_id", id), slog.String("span_id", tracing.SpanID(ctx)))
	}
	if id := tracing.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	return attrs
}
