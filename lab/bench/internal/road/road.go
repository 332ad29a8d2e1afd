package road

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Handler is told of each delivery. It is called concurrently.
type Handler func(Event)

// Road is one way from transaction to handler, with databases and streams of
// its own.
type Road interface {
	// Write does what an application does for one event: it commits a
	// transaction with a business row and the event. It is safe for
	// concurrent use.
	Write(ctx context.Context, e Event) error
	// Fill leaves events to the carrier, in transactions of a few events each
	// and without business rows. No carrier runs meanwhile.
	Fill(ctx context.Context, events []Event) error
	// Stock puts events into the stream by the fastest way that leaves it as
	// the carrier would. No carrier runs meanwhile.
	Stock(ctx context.Context, events []Event) error
	// Streamed counts all that was ever appended to the stream.
	Streamed(ctx context.Context) (int64, error)
	// Carry takes what is committed to the stream, until ctx is done.
	Carry(ctx context.Context) error
	// Deliver hands what is in the stream over to h, each event once as far
	// as the road promises it, until ctx is done.
	Deliver(ctx context.Context, h Handler) error
	// Close removes databases and streams.
	Close() error
}

const (
	poolSize   = 40 // connections for those who write
	fillBatch  = 20 // events of one transaction
	fillers    = 8  // transactions at the same time
	readCount  = 256
	groupName  = "bench"
	streamSize = 500 // entries appended at once
)

// business is the table of the application's own rows, in every database that
// is written to.
const business = `CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint NOT NULL, note text NOT NULL)`

const (
	insertBusiness = `INSERT INTO orders (n, note) VALUES ($1, $2)`
	note           = "what a business row of moderate length might say of itself, more or less"
)

// added counts what was ever appended to streams, trimmed entries included.
func added(ctx context.Context, rdb *redis.Client, streams ...string) (int64, error) {
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

// inTx runs f in a transaction.
func inTx(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// fill has f commit all events, a few at a time.
func fill(events []Event, f func([]Event) error) error {
	batches := make(chan []Event)
	errs := make([]error, fillers)
	var filling sync.WaitGroup
	for i := range errs {
		filling.Go(func() {
			for batch := range batches {
				if errs[i] == nil {
					errs[i] = f(batch)
				}
			}
		})
	}
	for batch := range slices.Chunk(events, fillBatch) {
		batches <- batch
	}
	close(batches)
	filling.Wait()
	return errors.Join(errs...)
}

// unlessDone is err, or nil when ctx is done: then err is only how it ended.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
