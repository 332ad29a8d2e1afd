package httpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// maxHeaderLog is how much of a header's value goes into the log.
const maxHeaderLog = 200

// panicError is what a handler panicked with.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// caught turns a recovered value into an error. [http.ErrAbortHandler] goes on to
// net/http, which aborts the connection in silence.
func caught(value any) error {
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
		panic(value)
	}
	return &panicError{value: value, stack: string(debug.Stack())}
}

func isPanic(err error) bool {
	_, ok := errors.AsType[*panicError](err)
	return ok
}

// headersOf returns the headers that may stand in a log: none that carries a
// secret or a person's data.
func headersOf(h http.Header) slog.Attr {
	var attrs []any
	for _, name := range []string{"Accept", "Content-Length", "Content-Type", "User-Agent", "X-Service-Name", headerTimeout} {
		if value := h.Get(name); value != "" {
			attrs = append(attrs, slog.String(name, value[:min(len(value), maxHeaderLog)]))
		}
	}
	return slog.Group("headers", attrs...)
}
