package logging

import (
	"io"
	"log/slog"
	"strings"
)

// Config is what the environment says about logging.
type Config struct {
	// Level is the least level written: debug, info, warn or error.
	Level slog.Level `env:"LOG_LEVEL" envDefault:"info"`
}

// New returns a logger that writes JSON lines to out, those that levels permits. Each line carries
// service and, where the context has them, trace_id (32 hex), the same id as x_trace_id (a UUID, as
// in the header X-Trace-ID), span_id (16 hex) and request_id; times are UTC. Safe for concurrent use
// if out.Write writes whole lines, as files do.
func New(out io.Writer, service string, levels *Levels) *slog.Logger {
	lines := slog.NewJSONHandler(out, &slog.HandlerOptions{Level: lowest, ReplaceAttr: redact})
	return slog.New(&handler{levels: levels, next: lines.WithAttrs([]slog.Attr{slog.String("service", service)})})
}

// redact hides the value of attributes with a sensitive name.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "password", "secret", "token", "authorization", "cookie", "set-cookie",
		"x-service-token", "email":
		return slog.String(a.Key, "[redacted]")
	}
	return a
}
