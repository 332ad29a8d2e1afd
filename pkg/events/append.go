package events

import (
	"context"
	"errors"
	"time"
)

// appendAll brings every stream up to the log that may lack something of it.
func (l *leader) appendAll(ctx context.Context) error {
	was := l.behind
	l.behind, l.hung = false, false
	defer func() { l.told(ctx, was) }()
	for part, t := range l.tails {
		if !t.due() {
			continue
		}
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
	t := l.tail(part)
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
		if t.continues(batch) {
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
	t.last, t.pos, t.proved = res.last, records[len(records)-1].at.pos, time.Now()
	return nil
}
