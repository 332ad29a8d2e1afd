// Package logging makes the one logger of a process: JSON lines through log/slog, each
// with the service and with the trace, span and request that the context belongs to.
//
// Use the context variants, log.InfoContext(ctx, …); only they know the request.
//
// Secrets and personal data must not be logged. Should one be, the attributes that usually
// hold them (password, token, email, …) print "[redacted]".
package logging
