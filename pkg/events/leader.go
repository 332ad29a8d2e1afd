package events

import (
	"context"
	"time"
)

// leader is a relay while it leads.
type leader struct {
	*Relay
	ledger ledger
	tails  map[int]*tail
	behind bool // Redis did not take everything
	why    error
	hung   bool // nor did it answer in time: the others need not wait as well

	kept, swept, trimmed time.Time // when it was done last
}

// tail is where a partition's stream ends, as far as this relay knows.
type tail struct {
	known bool
	last  string // last id of the stream
	gen   int64
	pos   int64 // last position of the log that the stream holds
}

func (l *leader) run(ctx context.Context) error {
	poll, woken := pollMin, true
	for {
		if err := l.maintain(ctx); err != nil {
			return err
		}
		moved, err := l.step(ctx, woken)
		switch {
		case err != nil:
			return err
		case moved == moveLimit:
			woken = true
			continue
		case moved > 0 && !l.behind:
			poll = pollMin
		}
		if woken, err = l.wait(ctx, poll); err != nil {
			return err
		}
		poll = min(2*poll, pollMax)
	}
}

// maintain does what is due besides moving and appending.
func (l *leader) maintain(ctx context.Context) error {
	if time.Since(l.kept) >= keepInterval {
		if err := l.ledger.keepDays(ctx, l.outbox.logDays); err != nil {
			return err
		}
		l.kept = time.Now()
	}
	if time.Since(l.swept) >= sweepInterval {
		if err := l.sweep(ctx); err != nil {
			return err
		}
		l.swept = time.Now()
	}
	if time.Since(l.trimmed) >= trimInterval && !l.behind {
		for part := range l.tails {
			if err := l.noted(ctx, l.trim(ctx, part)); err != nil {
				return err
			}
		}
		l.told(ctx, false)
		l.trimmed = time.Now()
	}
	return nil
}

// wait ends with the next wake-up (true) or after d.
func (l *leader) wait(ctx context.Context, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-l.outbox.wake:
		return true, nil
	case <-timer.C:
		return false, nil
	}
}

// step moves what was committed and appends it. Only the database's errors are
// returned: without Redis the relay goes on moving.
func (l *leader) step(ctx context.Context, woken bool) (int, error) {
	if !woken && !l.behind {
		waiting, err := l.ledger.waiting(ctx)
		if err != nil || !waiting {
			return 0, err
		}
	}
	batches, n, err := l.ledger.move(ctx, moveLimit)
	if err != nil {
		return 0, err
	}
	l.metrics.moved.Add(float64(n))
	if l.behind {
		return n, l.appendAll(ctx)
	}
	for part, batch := range batches {
		if err := l.append(ctx, part, batch); err != nil {
			return n, err
		}
	}
	l.told(ctx, false)
	return n, nil
}

// sweep compares every stream with the log, whatever happened before: Redis may
// have been emptied or restarted while nothing was published.
func (l *leader) sweep(ctx context.Context) error {
	states, err := l.ledger.streams(ctx, l.outbox.partitions)
	if err != nil {
		return err
	}
	for _, s := range states {
		t := l.tails[s.part]
		if t == nil {
			t = &tail{}
			l.tails[s.part] = t
		}
		t.known = t.known && l.unchanged(ctx, s.part, t)
	}
	n, age, err := l.ledger.backlog(ctx)
	if err != nil {
		return err
	}
	l.metrics.backlog.Set(float64(n))
	l.metrics.oldest.Set(age.Seconds())
	return l.appendAll(ctx)
}
