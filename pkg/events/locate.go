package events

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

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
	*t = tail{known: true, last: last, gen: state.last.gen, end: state.last, proved: time.Now()}
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

// check asks whether streams still end where this relay left them, all at once.
// Those that do not, or of which Redis does not tell, are unknown after.
func (l *leader) check(ctx context.Context, parts []int) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	answers := make([]*redis.XInfoStreamCmd, len(parts))
	_, _ = l.redis.Pipelined(ctx, func(p redis.Pipeliner) error { // each answer has its error
		for i, part := range parts {
			answers[i] = p.XInfoStream(ctx, StreamName(l.outbox.service, part))
		}
		return nil
	})
	for i, part := range parts {
		t, info := l.tails[part], answers[i]
		t.known = info.Err() == nil && info.Val().LastGeneratedID == t.last
		t.proved = time.Now()
	}
}

func (l *leader) lastID(ctx context.Context, part int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	res, err := compareAndAppend(ctx, l.redis, StreamName(l.outbox.service, part), "", nil)
	return res.last, err
}
