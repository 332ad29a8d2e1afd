// Package logging makes the one logger of a process: JSON lines through log/slog, each
// with the service and with the trace, span and request that the context belongs to.
//
// Use the context variants, log.InfoContext(ctx, …); only they know the request.
//
// What must never be in a log is kept out twice: nobody passes it, and attributes with a
// telltale name (password, token, email, …) print "[redacted]".
package logging
