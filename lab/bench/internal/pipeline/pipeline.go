// Package pipeline holds ways for an event to go from a committed transaction to a
// handler in another process: this project's, Watermill's, and a baseline that promises
// nothing and so shows what the servers themselves cost.
//
// All of them take the same steps and are measured by the same code: an application
// writes, a relay takes what was written to a Redis stream, a consumer calls a handler.
package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// Handler is called concurrently.
type Handler func(Event)

// Pipeline is one way from transaction to handler, with separate databases and streams.
type Pipeline interface {
	// Write commits a transaction with a business row and the event. It is safe for
	// concurrent use.
	Write(ctx context.Context, e Event) error
	// FillOutbox leaves events to the relay, in transactions of a few events each and
	// without business rows. No relay runs meanwhile.
	FillOutbox(ctx context.Context, events []Event) error
	// FillStream puts events into the stream by the fastest way that leaves it as the
	// relay would. No relay runs meanwhile.
	FillStream(ctx context.Context, events []Event) error
	// Appended counts all that was ever appended to the stream.
	Appended(ctx context.Context) (int64, error)
	// Relay takes what is committed to the stream, until ctx is done.
	Relay(ctx context.Context) error
	// Consume calls h for each event in the stream, until ctx is done.
	Consume(ctx context.Context, h Handler) error
	// Close closes connections and removes streams.
	Close() error
}

const (
	poolSize  = 40 // connections of writers
	txEvents  = 20 // events of one transaction
	fillers   = 8  // transactions at the same time
	readCount = 256
	groupName = "bench"
	pipelined = 500 // entries appended at once
)

// business is the table of the application's own rows, in every database that is written to.
const business = `
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint NOT NULL, note text NOT NULL)`

const (
	insertBusiness = `INSERT INTO orders (n, note) VALUES ($1, $2)`
	note           = "a note of moderate length, as a business row might have one, more or less"
)

// appended counts what was ever appended to streams, trimmed entries included.
func appended(ctx context.Context, rdb *redis.Client, streams ...string) (int64, error) {
	var n int64
	for _, stream := range streams {
		info, err := rdb.XInfoStream(ctx, stream).Result()
		switch {
		case err != nil && strings.Contains(err.Error(), "no such key"):
			continue
		case err != nil:
			return 0, fmt.Errorf("count entries: %w", err)
		}
		n += info.EntriesAdded
	}
	return n, nil
}

// fill calls commit with all events, a few at a time.
func fill(events []Event, commit func([]Event) error) error {
	var filling errgroup.Group
	filling.SetLimit(fillers)
	for batch := range slices.Chunk(events, txEvents) {
		filling.Go(func() error { return commit(batch) })
	}
	return filling.Wait()
}

// appendAll appends n entries to streams, many in a round trip.
func appendAll(ctx context.Context, rdb *redis.Client, n int, entry func(i int) (*redis.XAddArgs, error)) error {
	for from := 0; from < n; from += pipelined {
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(from+pipelined, n); i++ {
				args, err := entry(i)
				if err != nil {
					return err
				}
				p.XAdd(ctx, args)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
	}
	return nil
}

// unlessDone returns err, or nil when ctx is done: then err is only how it ended.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
