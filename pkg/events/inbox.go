package events

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/database"
)

// lockOffset locks the offset for the transaction. It is the fence: a reader
// that lost its partition without noticing waits here, and then finds the
// offset moved.
func (b *batch) lockOffset(ctx context.Context) error {
	found := false
	err := database.Read(ctx, b.tx, func(row database.Row) error {
		found = true
		return row.Scan(&b.offset.gen, &b.offset.pos, &b.replayTo)
	}, `SELECT gen, pos, replay_to FROM event_offsets WHERE consumer = $1 AND stream = $2 FOR UPDATE`,
		b.name, b.feed.stream())
	if err == nil && !found {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return fmt.Errorf("lock offset: %w", err)
	}
	return nil
}

// saveOffset is the last statement, and goes out with the commit.
func (b *batch) saveOffset() error {
	err := database.Later(b.tx,
		`UPDATE event_offsets SET gen = $3, pos = $4 WHERE consumer = $1 AND stream = $2`,
		b.name, b.feed.stream(), b.offset.gen, b.offset.pos)
	if err != nil {
		return fmt.Errorf("save offset: %w", err)
	}
	return nil
}

// receive takes the deliveries that concern this consumer into its inbox and
// learns which of them are new, and which keys are blocked.
func (b *batch) receive(ctx context.Context, deliveries []delivery) error {
	var ids, keys []string
	for _, d := range deliveries {
		if !b.ignored[d.env.Event] {
			ids, keys = append(ids, d.env.ID.String()), append(keys, d.env.Key)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	b.fresh, b.blocked = map[string]bool{}, map[string]bool{}
	err := database.Read(ctx, b.tx, func(row database.Row) error {
		var isKey bool
		var text string
		err := row.Scan(&isKey, &text)
		if isKey {
			b.blocked[text] = true
		} else {
			b.fresh[text] = true
		}
		return err
	}, receiveEvents, b.name, ids, b.feed.stream(), keys)
	if err != nil {
		return fmt.Errorf("fill inbox: %w", err)
	}
	return nil
}

// receiveEvents answers the ids that are new, and the keys that are blocked.
const receiveEvents = `
WITH fresh AS (
	INSERT INTO event_inbox (consumer, event_id) SELECT $1, unnest($2::uuid[])
	ON CONFLICT DO NOTHING RETURNING event_id::text
)
SELECT false, event_id FROM fresh UNION ALL
SELECT DISTINCT true, key FROM event_parked WHERE consumer = $1 AND stream = $3 AND key = ANY($4) AND key <> ''
	AND state <> 'discarded'`

// leave takes back out of the inbox what this transaction did not get to.
func (b *batch) leave(ctx context.Context) error {
	if len(b.fresh) == 0 {
		return nil
	}
	ids := make([]string, 0, len(b.fresh))
	for id := range b.fresh {
		ids = append(ids, id)
	}
	_, err := b.tx.Statement.ConnPool.ExecContext(ctx,
		`DELETE FROM event_inbox WHERE consumer = $1 AND event_id = ANY($2::uuid[])`, b.name, ids)
	if err != nil {
		return fmt.Errorf("leave inbox: %w", err)
	}
	return nil
}

// States of a parked event.
const (
	stateWaiting = "waiting" // tried again at its time, once it is the first of its key
	stateDead    = "dead"    // not tried any more; what follows of its key waits behind it
	// and "discarded": given up by an operator; kept for the record, in nobody's way
)

// parked is why and until when an event is set aside.
type parked struct {
	state    string
	reason   string
	attempts int
	delay    time.Duration
}

// park sets an event aside, and with it what follows of its key.
func (b *batch) park(ctx context.Context, d delivery, p parked) error {
	_, err := b.tx.Statement.ConnPool.ExecContext(ctx, `
INSERT INTO event_parked (consumer, event_id, stream, gen, pos, key, envelope, attempts, next_at, last_error, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9 * interval '1 second', $10, $11)
ON CONFLICT DO NOTHING`,
		b.name, d.env.ID.String(), b.feed.stream(), d.at.gen, d.at.pos, d.env.Key, storable(d.raw),
		p.attempts, p.delay.Seconds(), storable(p.reason), p.state)
	if err != nil {
		return fmt.Errorf("park event: %w", err)
	}
	if d.env.Key != "" {
		b.blocked[d.env.Key] = true
	}
	return nil
}

func (b *batch) setAsideStray(ctx context.Context, d delivery) error {
	b.metrics.strays.Inc()
	b.deps.Log.ErrorContext(ctx, "stream entry that no relay wrote", "stream", b.feed.stream(), "entry", d.id)
	reason := "not written by the relay of " + b.feed.source
	if d.err != nil {
		reason += ": " + d.err.Error()
	}
	d.env.Key = ""
	delete(b.fresh, d.env.ID.String())
	return b.park(ctx, d, parked{state: stateDead, reason: reason})
}

// storable makes foreign text fit into a text column.
func storable(s string) string {
	if len(s) > MaxEnvelope {
		s = s[:MaxEnvelope]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
