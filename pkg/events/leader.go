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
	full   bool // the next look into the outbox passes over nothing

	appending chan bool // the batches being appended: gets whether some were left

	kept, swept, trimmed time.Time // when it was done last
}

// tail is where a partition's stream ends, as far as this relay knows.
type tail struct {
	known  bool
	last   string // last id of the stream
	gen    int64
	pos    int64     // last position of the log that the stream holds
	end    position  // where the log ends
	proved time.Time // when Redis last said that the stream ends at last
}

// due reports whether the stream may lack something.
func (t *tail) due() bool { return !t.known || t.end.after(position{t.gen, t.pos}) }

// continues reports whether a batch comes next in the stream.
func (t *tail) continues(batch []record) bool {
	return t.known && batch[0].at == position{t.gen, t.pos + 1}
}

// tail gives the tail of a partition, unknown if it is new.
func (l *leader) tail(part int) *tail {
	t := l.tails[part]
	if t == nil {
		t = &tail{}
		l.tails[part] = t
	}
	return t
}

func (l *leader) run(ctx context.Context) error {
	poll, woken := pollMin, true
	defer l.join()
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
	if time.Since(l.kept) < keepInterval && time.Since(l.swept) < sweepInterval && time.Since(l.trimmed) < trimInterval {
		return nil
	}
	if l.join() {
		l.behind = true
	}
	if time.Since(l.kept) >= keepInterval {
		if err := l.ledger.keepDays(ctx, l.outbox.logDays); err != nil {
			return err
		}
		if err := l.ledger.makeStreams(ctx, l.outbox.partitions); err != nil {
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
		if err := l.noted(ctx, l.trim(ctx)); err != nil {
			return err
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
	full := l.full
	l.full = false
	if !woken && !l.behind {
		waiting, err := l.ledger.waiting(ctx, full)
		if err != nil || !waiting {
			return 0, err
		}
	}
	batches, n, err := l.ledger.move(ctx, moveLimit, full)
	if err != nil {
		return 0, err
	}
	l.metrics.moved.Add(float64(n))
	left := l.join()
	for part, batch := range batches {
		l.tail(part).end = batch[len(batch)-1].at
	}
	switch {
	case left || l.behind:
		return n, l.appendAll(ctx)
	case n == moveLimit && l.continues(batches):
		l.begin(ctx, batches)
		return n, nil
	}
	for part, batch := range batches {
		if err := l.append(ctx, part, batch); err != nil {
			return n, err
		}
	}
	l.told(ctx, false)
	return n, nil
}

// continues reports whether every batch comes next in its stream.
func (l *leader) continues(batches map[int][]record) bool {
	for part, batch := range batches {
		if !l.tails[part].continues(batch) {
			return false
		}
	}
	return true
}

// begin appends batches, which continue their streams, while the database moves
// the next ones. It uses Redis only. What it leaves is in the log.
func (l *leader) begin(ctx context.Context, batches map[int][]record) {
	l.appending = make(chan bool, 1)
	go func() {
		left := false
		for part, batch := range batches {
			for t := l.tails[part]; len(batch) > 0 && !left; {
				piece := fitting(batch)
				err := l.appendOnce(ctx, part, t, piece)
				left = err != nil || !t.known
				batch = batch[len(piece):]
			}
		}
		l.appending <- left
	}()
}

// join waits for what begin began, and reports whether some of it was left.
func (l *leader) join() (left bool) {
	if l.appending != nil {
		left, l.appending = <-l.appending, nil
	}
	return left
}

// sweep compares every stream with the log, whatever happened before: Redis may
// have been emptied or restarted while nothing was published. Of a stream that
// was appended to since, Redis has just said where it ended.
func (l *leader) sweep(ctx context.Context) error {
	states, err := l.ledger.streams(ctx)
	if err != nil {
		return err
	}
	var idle []int
	for _, s := range states {
		t := l.tail(s.part)
		if t.end = s.last; t.known && time.Since(t.proved) >= sweepInterval {
			idle = append(idle, s.part)
		}
	}
	l.check(ctx, idle)
	n, age, err := l.ledger.backlog(ctx)
	if err != nil {
		return err
	}
	l.metrics.backlog.Set(float64(n))
	l.metrics.oldest.Set(age.Seconds())
	l.full = true
	return l.appendAll(ctx)
}
