package road

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/lab/bench/internal/lab"
)

// Floor is the least that can be done: the application commits and then appends
// to the stream itself, and the receiver reads without a group. A crash between
// the two loses the event, a crash of the receiver too. Its carrier, which only
// Fill needs, deletes from a table and appends.
type Floor struct {
	lab   *lab.Lab
	name  string // of the stream
	base  string // database
	pool  *pgxpool.Pool
	redis *redis.Client
	last  string // id of the last entry that was received
}

const floorSchema = `
CREATE TABLE outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, part integer NOT NULL, event_id uuid NOT NULL,
	key text NOT NULL, envelope text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`

const (
	insertOutbox = `INSERT INTO outbox (part, event_id, key, envelope) VALUES ($1, $2, $3, $4)`
	takeOutbox   = `
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1) RETURNING envelope`
	notify = `SELECT pg_notify('outbox', '')`
)

// NewFloor prepares the floor.
func NewFloor(ctx context.Context, l *lab.Lab) (*Floor, error) {
	f := &Floor{lab: l, name: lab.NewName(), redis: l.NewRedis(poolSize), last: "0-0"}
	if err := f.prepare(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Floor) prepare(ctx context.Context) error {
	var err error
	if f.base, err = f.lab.TakeDatabase(ctx); err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(f.lab.URL(f.base))
	if err != nil {
		return err
	}
	cfg.MaxConns = poolSize
	if f.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	_, err = f.pool.Exec(ctx, strings.Join([]string{business, floorSchema}, ";"))
	return err
}

// Close implements Road.
func (f *Floor) Close() error {
	if f.pool != nil {
		f.pool.Close()
	}
	return errors.Join(f.lab.RemoveStreams(f.name), f.redis.Close(), f.lab.ReturnDatabase(f.base))
}

// Write implements Road.
func (f *Floor) Write(ctx context.Context, e Event) error {
	err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertBusiness, e.N, note)
		return err
	})
	if err != nil {
		return err
	}
	return f.redis.XAdd(ctx, f.entry(string(e.encode()))).Err()
}

func (f *Floor) entry(data string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: f.name, Values: []string{"data", data}}
}

// Fill implements Road.
func (f *Floor) Fill(ctx context.Context, events []Event) error {
	return fill(events, func(events []Event) error {
		return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
			batch := &pgx.Batch{}
			for _, e := range events {
				batch.Queue(insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
			}
			return tx.SendBatch(ctx, batch).Close()
		})
	})
}

// Stock implements Road.
func (f *Floor) Stock(ctx context.Context, events []Event) error {
	rows := make([]string, len(events))
	for i, e := range events {
		rows[i] = string(e.encode())
	}
	return f.send(ctx, rows)
}

func (f *Floor) send(ctx context.Context, rows []string) error {
	for len(rows) > 0 {
		n := min(len(rows), streamSize)
		_, err := f.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, data := range rows[:n] {
				p.XAdd(ctx, f.entry(data))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// Streamed implements Road.
func (f *Floor) Streamed(ctx context.Context) (int64, error) {
	return added(ctx, f.redis, f.name)
}

// Carry implements Road. It carries what is there, and then waits for its end.
func (f *Floor) Carry(ctx context.Context) error {
	for sent := 1; sent > 0; {
		rows, err := f.take(ctx)
		if err == nil {
			err = f.send(ctx, rows)
		}
		if err != nil {
			return unlessDone(ctx, err)
		}
		sent = len(rows)
	}
	<-ctx.Done()
	return nil
}

func (f *Floor) take(ctx context.Context) ([]string, error) {
	rows, err := f.pool.Query(ctx, takeOutbox, streamSize)
	if err != nil {
		return nil, fmt.Errorf("take from outbox: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Deliver implements Road.
func (f *Floor) Deliver(ctx context.Context, h Handler) error {
	client := f.lab.NewRedis(1)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })() // go-redis does not give up a blocked read
	for {
		streams, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{f.name, f.last}, Count: readCount}).Result()
		if err != nil {
			return unlessDone(ctx, err)
		}
		for _, m := range streams[0].Messages {
			f.last = m.ID
			data, _ := m.Values["data"].(string)
			if err := decode([]byte(data), h); err != nil {
				return err
			}
		}
	}
}
