// Package poll waits.
package poll

import (
	"context"
	"fmt"
	"time"
)

// Sleep waits for d, or returns ctx's error as soon as ctx is done.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Until calls check every 10 ms until it returns nil. After limit, or once ctx is done,
// the error is that of the last check.
func Until(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if Sleep(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("after %v: %w", limit, err)
		}
	}
}
