package database

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Schema is a set of versioned SQL migrations with its own version table,
// so that sets of different owners do not share numbers.
type Schema struct {
	// Table holds the versions applied, e.g. "schema_version".
	Table string
	// Files holds NNNNN_name.sql files (pressly/goose) at its root.
	Files fs.FS
}

// A migration waits five minutes for those of others, and looks each second. The lock is a
// row that its holder renews, so that it works through a transaction pooler.
const (
	lockTable   = "goose_lock"
	lockRetry   = time.Second
	lockRetries = 300
	lockLease   = 15 * time.Second
)

// Migrate brings the database to the newest version of each schema, in order.
// Any number of processes may call it at once: one applies, under a
// lock, and the others find nothing left to do. Each migration is a transaction;
// a failing one leaves the version before it.
func (d *DB) Migrate(ctx context.Context, schemas ...Schema) error {
	for _, s := range schemas {
		p, err := d.provider(s)
		if err != nil {
			return err
		}
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("migrate %s (%s): %w", d.name, s.Table, err)
		}
	}
	return nil
}

// Pending reports how many migrations of the schemas are not applied yet. It takes
// no lock and does not wait for a running migration.
func (d *DB) Pending(ctx context.Context, schemas ...Schema) (int, error) {
	pending := 0
	for _, s := range schemas {
		p, err := d.provider(s)
		if err != nil {
			return 0, err
		}
		var applied int64
		query := fmt.Sprintf(`SELECT coalesce(max(version_id), 0) FROM %s WHERE is_applied`, s.Table)
		if err := d.queryValue(ctx, query, &applied); err != nil && codeOf(err) != "42P01" { // undefined_table
			return 0, fmt.Errorf("read schema version of %s (%s): %w", d.name, s.Table, err)
		}
		for _, source := range p.ListSources() {
			if source.Version > applied {
				pending++
			}
		}
	}
	return pending, nil
}

func (d *DB) provider(s Schema) (*goose.Provider, error) {
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(lockTable), lock.WithTableLockTimeout(lockRetry, lockRetries),
		lock.WithTableLeaseDuration(lockLease), lock.WithTableHeartbeatInterval(lockLease/3))
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, d.sql, s.Files,
		goose.WithTableName(s.Table), goose.WithLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", s.Table, err)
	}
	return p, nil
}
