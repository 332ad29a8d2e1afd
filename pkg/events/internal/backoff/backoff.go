// Package backoff is the retry delay of relay and consumer while a server is unavailable.
package backoff

import (
	"context"
	"log/slog"
	"time"
)

const (
	shortest = 50 * time.Millisecond
	longest  = time.Second
)

// Backoff doubles the wait between failures, and logs when they begin and end. It
// serves one goroutine.
type Backoff struct {
	What string // that fails
	wait time.Duration
}

// Failed returns the wait until the next try.
func (b *Backoff) Failed(ctx context.Context, log *slog.Logger, err error) time.Duration {
	if ctx.Err() != nil {
		return shortest
	}
	if b.wait == 0 {
		log.WarnContext(ctx, b.What+" failed; will retry", "error", err)
	}
	b.wait = min(max(2*b.wait, shortest), longest)
	return b.wait
}

// Succeeded ends the waits.
func (b *Backoff) Succeeded(ctx context.Context, log *slog.Logger) {
	if b.wait != 0 {
		log.InfoContext(ctx, b.What+" works again")
	}
	b.wait = 0
}
