package road

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// WriteOutbox commits a business row and an outbox row in four round trips.
func (f *Floor) WriteOutbox(ctx context.Context, e Event) error {
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error { return f.insertBoth(ctx, tx, e) })
}

// WriteNotifying is WriteOutbox with a NOTIFY inside the transaction.
func (f *Floor) WriteNotifying(ctx context.Context, e Event) error {
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		if err := f.insertBoth(ctx, tx, e); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, notify)
		return err
	})
}

func (f *Floor) insertBoth(ctx context.Context, tx pgx.Tx, e Event) error {
	if _, err := tx.Exec(ctx, insertBusiness, e.N, note); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
	return err
}

// WriteAtOnce is WriteOutbox in one round trip.
func (f *Floor) WriteAtOnce(ctx context.Context, e Event) error {
	batch := &pgx.Batch{}
	batch.Queue(insertBusiness, e.N, note)
	batch.Queue(insertOutbox, 0, uuid.New(), e.Key(), string(e.encode()))
	return f.pool.SendBatch(ctx, batch).Close()
}
