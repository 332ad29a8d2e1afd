package road

import (
	"context"
	"fmt"
	"time"
)

const (
	streamedLimit = 5 * time.Minute
	streamedPoll  = time.Millisecond
)

// untilStreamed waits until the stream of r holds n entries.
func untilStreamed(ctx context.Context, r Road, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, streamedLimit)
	defer cancel()
	tick := time.NewTicker(streamedPoll)
	defer tick.Stop()
	for {
		have, err := r.Streamed(ctx)
		switch {
		case err != nil:
			return err
		case have == n:
			return nil
		case have > n:
			return fmt.Errorf("the stream holds %d entries, %d were committed", have, n)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the stream holds %d of %d entries: %w", have, n, ctx.Err())
		case <-tick.C:
		}
	}
}
