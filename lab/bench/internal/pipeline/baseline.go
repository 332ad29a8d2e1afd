package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/lab/bench/internal/servers"
)

// Baseline is the least that can be done: the application commits and then appends to
// the stream itself, and the consumer reads without a group. A crash between the two
// loses the event, a crash of the consumer too. Its relay, which only FillOutbox needs,
// deletes from a table and appends.
type Baseline struct {
	servers *servers.Servers
	stream  string
	pool    *pgxpool.Pool
	redis   *redis.Client
	last    string // id of the last entry that was read
}

const baselineSchema = `
CREATE TABLE outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, part integer NOT NULL, event_id uuid NOT NULL,
	key text NOT NULL, envelope text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`

const (
	insertOutbox = `INSERT INTO outbox (part, event_id, key, envelope) VALUES ($1, $2, $3, $4)`
	takeOutbox   = `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1) RETURNING envelope`
	notify       = `SELECT pg_notify('outbox', '')`
)

// NewBaseline prepares the baseline.
func NewBaseline(ctx context.Context, s *servers.Servers) (*Baseline, error) {
	name := servers.NewName()
	if err := s.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(s.URL(name))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &Baseline{servers: s, stream: name, pool: pool, redis: s.NewRedis(poolSize), last: "0-0"}
	if _, err := pool.Exec(ctx, strings.Join([]string{business, baselineSchema}, ";")); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close implements Pipeline.
func (b *Baseline) Close() error {
	b.pool.Close()
	return errors.Join(b.servers.RemoveKeys(b.stream), b.redis.Close())
}

// Write implements Pipeline.
func (b *Baseline) Write(ctx context.Context, e Event) error {
	err := pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertBusiness, e.N, note)
		return err
	})
	if err != nil {
		return err
	}
	return b.redis.XAdd(ctx, b.entry(string(e.encode()))).Err()
}

func (b *Baseline) entry(data string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: b.stream, Values: []string{"data", data}}
}

// WriteOutbox commits a business row and an outbox row in four round trips.
func (b *Baseline) WriteOutbox(ctx context.Context, e Event) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error { return insertBoth(ctx, tx, e) })
}

// WriteNotifying is WriteOutbox with a NOTIFY inside the transaction.
func (b *Baseline) WriteNotifying(ctx context.Context, e Event) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		if err := insertBoth(ctx, tx, e); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, notify)
		return err
	})
}

func insertBoth(ctx context.Context, tx pgx.Tx, e Event) error {
	if _, err := tx.Exec(ctx, insertBusiness, e.N, note); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
	return err
}

// WriteAtOnce is WriteOutbox in one round trip.
func (b *Baseline) WriteAtOnce(ctx context.Context, e Event) error {
	batch := &pgx.Batch{}
	batch.Queue(insertBusiness, e.N, note)
	batch.Queue(insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
	return b.pool.SendBatch(ctx, batch).Close()
}

// FillOutbox implements Pipeline.
func (b *Baseline) FillOutbox(ctx context.Context, events []Event) error {
	return fill(events, func(events []Event) error {
		return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
			batch := &pgx.Batch{}
			for _, e := range events {
				batch.Queue(insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
			}
			return tx.SendBatch(ctx, batch).Close()
		})
	})
}

// FillStream implements Pipeline.
func (b *Baseline) FillStream(ctx context.Context, events []Event) error {
	return appendAll(ctx, b.redis, len(events), func(i int) (*redis.XAddArgs, error) {
		return b.entry(string(events[i].encode())), nil
	})
}

// Appended implements Pipeline.
func (b *Baseline) Appended(ctx context.Context) (int64, error) {
	return appended(ctx, b.redis, b.stream)
}

// Relay implements Pipeline. It takes what is there, and then waits for its end.
func (b *Baseline) Relay(ctx context.Context) error {
	for sent := 1; sent > 0; {
		rows, err := b.take(ctx)
		if err == nil {
			err = appendAll(ctx, b.redis, len(rows), func(i int) (*redis.XAddArgs, error) { return b.entry(rows[i]), nil })
		}
		if err != nil {
			return unlessDone(ctx, err)
		}
		sent = len(rows)
	}
	<-ctx.Done()
	return nil
}

func (b *Baseline) take(ctx context.Context) ([]string, error) {
	rows, err := b.pool.Query(ctx, takeOutbox, pipelined)
	if err != nil {
		return nil, fmt.Errorf("take from outbox: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Consume implements Pipeline.
func (b *Baseline) Consume(ctx context.Context, h Handler) error {
	client := b.servers.NewRedis(1)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })() // go-redis does not give up a blocked read
	for {
		streams, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{b.stream, b.last}, Count: readCount}).Result()
		if err != nil {
			return unlessDone(ctx, err)
		}
		for _, m := range streams[0].Messages {
			b.last = m.ID
			data, _ := m.Values["data"].(string)
			if err := decode([]byte(data), h); err != nil {
				return err
			}
		}
	}
}
