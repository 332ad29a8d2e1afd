package events

import (
	"context"
	"errors"
	"fmt"
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

func (l *leader) unchanged(ctx context.Context, part int, t *tail) bool {
	res, err := l.lastID(ctx, part)
	return err == nil && res == t.last
}

func (l *leader) lastID(ctx context.Context, part int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	res, err := compareAndAppend(ctx, l.redis, StreamName(l.outbox.service, part), "", nil)
	return res.last, err
}

// appendAll brings every stream up to the log.
func (l *leader) appendAll(ctx context.Context) error {
	was := l.behind
	l.behind, l.hung = false, false
	defer func() { l.told(ctx, was) }()
	for part := range l.tails {
		if err := l.append(ctx, part, nil); err != nil || l.hung {
			return err
		}
	}
	return nil
}

// told logs when the events begin to wait for Redis, and when they no longer do.
func (l *leader) told(ctx context.Context, was bool) {
	switch {
	case l.behind && !was:
		l.log.WarnContext(ctx, "events wait for Redis", "error", l.why)
	case was && !l.behind:
		l.log.InfoContext(ctx, "Redis has all events again")
	}
}

// append brings one stream up to the log. batch is the log's end if it was just
// moved, and saves reading it back. Redis' errors are noted, not returned.
func (l *leader) append(ctx context.Context, part int, batch []record) error {
	return l.noted(ctx, l.tryAppend(ctx, part, batch))
}

// noted takes note of an error of Redis, and returns any other.
func (l *leader) noted(ctx context.Context, err error) error {
	var re redisError
	if !errors.As(err, &re) {
		return err
	}
	l.why = re.error
	l.behind, l.hung = true, errors.Is(re, context.DeadlineExceeded)
	l.metrics.appendErrors.Inc()
	return nil
}

// redisError marks an error that leaves the database session as it was.
type redisError struct{ error }

// Unwrap gives the error of Redis.
func (e redisError) Unwrap() error { return e.error }

func (l *leader) tryAppend(ctx context.Context, part int, batch []record) error {
	t := l.tails[part]
	if t == nil {
		t = &tail{}
		l.tails[part] = t
	}
	for {
		if !t.known {
			if err := l.locate(ctx, part, t); err != nil {
				return err
			}
		}
		next, err := l.next(ctx, part, t, batch)
		if err != nil || len(next) == 0 {
			return err
		}
		if err := l.appendOnce(ctx, part, t, next); err != nil {
			return err
		}
	}
}

// next gives what the stream lacks first: the batch if it is contiguous, or
// else a piece of the log.
func (l *leader) next(ctx context.Context, part int, t *tail, batch []record) ([]record, error) {
	if n := len(batch); n > 0 {
		if batch[0].at == (position{t.gen, t.pos + 1}) {
			return fitting(batch), nil
		}
		if batch[n-1].at == (position{t.gen, t.pos}) {
			return nil, nil
		}
	}
	records, err := l.ledger.read(ctx, part, t.gen, t.pos, moveLimit)
	return fitting(records), err
}

// appendBytes bounds what one script call carries: a script holds Redis up.
const appendBytes = 1 << 20

func fitting(records []record) []record {
	size := 0
	for i, r := range records {
		if size += len(r.envelope); size > appendBytes && i > 0 {
			return records[:i]
		}
	}
	return records
}

// appendOnce appends records behind t. When somebody else has moved the
// stream's end, t is unknown after.
func (l *leader) appendOnce(ctx context.Context, part int, t *tail, records []record) error {
	bounded, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	began := time.Now()
	res, err := compareAndAppend(bounded, l.redis, StreamName(l.outbox.service, part), t.last, records)
	if err != nil {
		t.known = false
		return redisError{err}
	}
	l.metrics.appendSeconds.Observe(time.Since(began).Seconds())
	l.metrics.appended.Add(float64(res.appended))
	if res.appended < len(records) {
		t.known = false
		return nil
	}
	t.last, t.pos = res.last, records[len(records)-1].at.pos
	return nil
}

// locate finds where the stream ends and from where the log must be appended.
// Redis is read before the database: another relay may be at work, and what it
// appended then is in the log for certain.
func (l *leader) locate(ctx context.Context, part int, t *tail) error {
	last, err := l.lastID(ctx, part)
	if err != nil {
		return redisError{err}
	}
	state, err := l.ledger.stream(ctx, part)
	if err != nil {
		return err
	}
	at, err := parsePosition(last)
	if err != nil || at.gen >= maxGeneration {
		return l.discard(ctx, part, last)
	}
	*t = tail{known: true, last: last, gen: state.last.gen}
	switch {
	case at == (position{}): // no stream: what somebody may need
		if t.pos, err = l.ledger.acknowledged(ctx, part); err != nil {
			return err
		}
	case at.gen < state.last.gen: // the first of this generation comes next
		t.pos = state.safe
	case at.after(state.last):
		return l.nextGeneration(ctx, part, t, at, state)
	default:
		same, err := l.agrees(ctx, part, at)
		if err != nil {
			return err
		}
		if !same {
			return l.nextGeneration(ctx, part, t, at, state)
		}
		t.pos = at.pos
	}
	if t.pos < state.last.pos {
		l.metrics.recoveries.Inc()
		l.log.InfoContext(ctx, "relay catches up", "stream", StreamName(l.outbox.service, part), "from", t.pos+1, "to", state.last.pos)
	}
	return nil
}

// maxGeneration leaves room for the next ones in 64 bits.
const maxGeneration = 1 << 62

// discard removes a stream to which nothing can be appended any more, because a
// stranger used up its ids. The log has all of it.
func (l *leader) discard(ctx context.Context, part int, last string) error {
	stream := StreamName(l.outbox.service, part)
	l.log.ErrorContext(ctx, "stream's ids are used up, making it again", "stream", stream, "last_id", last)
	if err := l.redis.Del(ctx, stream).Err(); err != nil {
		return redisError{fmt.Errorf("delete %s: %w", stream, err)}
	}
	return redisError{fmt.Errorf("%s was deleted", stream)}
}

// agrees reports whether the stream's last entry is the log's event of that
// position. An entry that was trimmed away can't be compared and is believed.
func (l *leader) agrees(ctx context.Context, part int, at position) (bool, error) {
	entries, err := lastEntries(ctx, l.redis, StreamName(l.outbox.service, part), "+", 1)
	if err != nil {
		return false, redisError{err}
	}
	if len(entries) == 0 || entries[0].ID != at.String() {
		return true, nil
	}
	logged, err := l.ledger.eventAt(ctx, part, at.pos)
	return logged == "" || logged == entries[0].Values[fieldID], err
}

// nextGeneration goes on behind a stream that holds what the database does not
// know: a stranger's entry, or events of a future that a restored backup took
// back. Consumers accept the higher ids and handle what they have not handled.
func (l *leader) nextGeneration(ctx context.Context, part int, t *tail, at position, state streamState) error {
	safe, err := l.commonEnd(ctx, part, state)
	if err != nil {
		return err
	}
	gen := max(at.gen, state.last.gen) + 1
	if err := l.ledger.advance(ctx, part, gen, safe); err != nil {
		return err
	}
	l.metrics.generations.Inc()
	l.log.ErrorContext(ctx, "stream is ahead of the log, beginning the next generation",
		"stream", StreamName(l.outbox.service, part), "stream_end", at.String(), "log_end", state.last.String(), "generation", gen, "from", safe+1)
	t.known = false // read again: another relay may have begun a higher one
	return nil
}

// commonEnd gives the last position at which stream and log hold the same
// event, or 0.
func (l *leader) commonEnd(ctx context.Context, part int, state streamState) (int64, error) {
	end := "+"
	for {
		entries, err := lastEntries(ctx, l.redis, StreamName(l.outbox.service, part), end, moveLimit)
		if err != nil {
			return 0, redisError{err}
		}
		for _, e := range entries {
			end = "(" + e.ID
			at, err := parsePosition(e.ID)
			if err != nil || at.after(state.last) {
				continue
			}
			logged, err := l.ledger.eventAt(ctx, part, at.pos)
			if err != nil {
				return 0, err
			}
			if logged != "" && logged == e.Values[fieldID] {
				return at.pos, nil
			}
		}
		if len(entries) < moveLimit {
			return 0, nil
		}
	}
}
