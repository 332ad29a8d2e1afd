package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

const (
	readCount = 256         // entries read, and handled in one transaction at most
	readBlock = time.Second // how long a read waits for entries
	ackCount  = 1000        // entries acknowledged at once
	redisName = "owner"     // the group's only Redis consumer of a stream
)

// reader reads one partition. Where it stands is the offset in the service's
// own database; the Redis group is only a cursor, set to the offset whenever
// reading begins. So a lost acknowledgement, a lost group and a database
// restored from a backup need no care of their own.
type reader struct {
	*Consumer
	feed  feed
	at    position // the offset, as it was left
	gapAt position // the offset at which the stream was found wanting
	stray string   // an entry that the producer's log does not know
}

// nowhere is no offset.
var nowhere = position{-1, -1}

func (r *reader) run(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > retryMax {
			wait = retryMin
		}
		if !errors.Is(err, errReadAgain) {
			r.deps.Log.WarnContext(ctx, "reading of events interrupted", "stream", r.feed.stream(), "error", err, "retry_in", wait)
		}
		pause(ctx, wait)
		wait = min(2*wait, retryMax)
	}
}

func (r *reader) session(ctx context.Context) error {
	var err error
	if r.at, err = r.offset(ctx); err != nil {
		return err
	}
	if err := r.rewind(ctx, r.at); err != nil {
		return err
	}
	client := r.dial()
	defer client.Close()
	// go-redis does not give up a blocked read when its context ends.
	defer context.AfterFunc(ctx, func() { client.Close() })()
	for ctx.Err() == nil {
		entries, err := r.read(ctx, client)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			err = r.unmoved(ctx)
		} else {
			err = r.handle(ctx, entries)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// unmoved has reading begin again if somebody else moved the offset: a replay,
// or a restored backup.
func (r *reader) unmoved(ctx context.Context) error {
	offset, err := r.offset(ctx)
	if err == nil && offset != r.at {
		err = errReadAgain
	}
	return err
}

// offset reads where this consumer stands, 0-0 before its first event.
func (r *reader) offset(ctx context.Context) (position, error) {
	pool := r.db.Gorm.Statement.ConnPool
	_, err := pool.ExecContext(ctx,
		`INSERT INTO event_offsets (consumer, stream) VALUES ($1, $2) ON CONFLICT DO NOTHING`, r.name, r.feed.stream())
	if err != nil {
		return position{}, fmt.Errorf("make offset: %w", err)
	}
	var p position
	err = pool.QueryRowContext(ctx,
		`SELECT gen, pos FROM event_offsets WHERE consumer = $1 AND stream = $2`, r.name, r.feed.stream()).Scan(&p.gen, &p.pos)
	if err != nil {
		return position{}, fmt.Errorf("read offset: %w", err)
	}
	return p, nil
}

// rewind puts the group's cursor on the offset, with nothing pending before it.
func (r *reader) rewind(ctx context.Context, offset position) error {
	stream := r.feed.stream()
	err := r.redis.XGroupCreateMkStream(ctx, stream, r.name, offset.String()).Err()
	switch {
	case err == nil:
		return nil
	case !strings.HasPrefix(err.Error(), "BUSYGROUP"):
		return fmt.Errorf("create consumer group: %w", err)
	}
	if err := r.redis.XGroupSetID(ctx, stream, r.name, offset.String()).Err(); err != nil {
		return fmt.Errorf("set consumer group: %w", err)
	}
	return r.forget(ctx, offset)
}

// forget acknowledges what an earlier reader handled and could not acknowledge.
func (r *reader) forget(ctx context.Context, offset position) error {
	for {
		pending, err := r.redis.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: r.feed.stream(), Group: r.name, Start: "-", End: offset.String(), Count: ackCount,
		}).Result()
		if err != nil {
			return fmt.Errorf("list pending entries: %w", err)
		}
		if len(pending) == 0 {
			return nil
		}
		ids := make([]string, len(pending))
		for i, p := range pending {
			ids[i] = p.ID
		}
		if err := r.ack(ctx, ids); err != nil {
			return err
		}
	}
}

func (r *reader) ack(ctx context.Context, ids []string) error {
	if err := r.redis.XAck(ctx, r.feed.stream(), r.name, ids...).Err(); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// read waits for entries; none is no error.
func (r *reader) read(ctx context.Context, client redis.UniversalClient) ([]redis.XMessage, error) {
	streams, err := client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: r.name, Consumer: redisName, Streams: []string{r.feed.stream(), ">"}, Count: readCount, Block: readBlock,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", r.feed.stream(), err)
	case len(streams) == 0:
		return nil, nil
	}
	return streams[0].Messages, nil
}

// delivery is an entry of the stream, as far as it could be read.
type delivery struct {
	at  position
	id  string // of the entry
	env Envelope
	raw string
	err error // why env is not to be had
}

func (r *reader) decode(m redis.XMessage) delivery {
	d := delivery{id: m.ID}
	d.raw, _ = m.Values[fieldEnvelope].(string)
	if d.at, d.err = parsePosition(m.ID); d.err != nil {
		return d
	}
	return r.open(d)
}

// open parses the envelope of a delivery.
func (r *reader) open(d delivery) delivery {
	d.env, d.err = ParseEnvelope([]byte(d.raw))
	if d.err == nil && d.env.Service != r.feed.source {
		d.err = fmt.Errorf("envelope is of %q", d.env.Service)
	}
	if d.err != nil { // a name for what has none, the same at every delivery
		d.env = Envelope{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(r.feed.stream()+" "+d.id))}
	}
	return d
}

func (r *reader) handle(ctx context.Context, entries []redis.XMessage) error {
	deliveries := make([]delivery, len(entries))
	for i, m := range entries {
		deliveries[i] = r.decode(m)
	}
	return r.settle(ctx, deliveries)
}

// settle takes deliveries one transaction after another and acknowledges them.
// The work in hand is finished even when ctx is done.
func (r *reader) settle(ctx context.Context, deliveries []delivery) error {
	for len(deliveries) > 0 {
		if ctx.Err() != nil {
			return ctx.Err() // the rest stays pending and is delivered again
		}
		n, err := r.advance(ctx, deliveries)
		if err != nil {
			return err
		}
		ids := make([]string, n)
		for i, d := range deliveries[:n] {
			ids[i] = d.id
		}
		if err := r.ack(ctx, ids); err != nil {
			return err
		}
		deliveries = deliveries[n:]
	}
	return nil
}

// advance brings at least one delivery to its end: handled, parked or set
// aside. It tries all in one transaction; if a handler fails, it tries those
// before it, and then the failing one alone.
func (r *reader) advance(ctx context.Context, deliveries []delivery) (int, error) {
	n, err := r.apply(context.WithoutCancel(ctx), deliveries)
	var gap *gapError
	var failed *handlerError
	switch {
	case errors.As(err, &gap):
		return 0, r.mend(ctx, gap)
	case !errors.As(err, &failed):
		return n, err
	case failed.index > 0:
		return r.advance(ctx, deliveries[:failed.index])
	}
	return r.persist(ctx, deliveries[0], failed)
}

// quickRetries is how long a failing event holds its partition up before it is
// parked.
const quickRetries = 2 * time.Second

// persist tries a failing event a few times more, and parks it.
func (r *reader) persist(ctx context.Context, d delivery, failed *handlerError) (int, error) {
	work := context.WithoutCancel(ctx)
	deadline := time.Now().Add(quickRetries)
	for wait := retryMin; !failed.patient() && time.Now().Add(wait).Before(deadline); wait *= 2 {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		n, err := r.apply(work, []delivery{d})
		if !errors.As(err, &failed) {
			return n, err
		}
	}
	return r.setAside(work, d, failed)
}
