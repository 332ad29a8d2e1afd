package events_test

import (
	"context"
	"strconv"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/eventstest"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

// TestPromise holds this package to the promise that it states.
func TestPromise(t *testing.T) {
	t.Parallel()
	eventstest.Run(t, func(t *testing.T) eventstest.Bus { return promise(t, 4) })
}

// TestPromiseOnOneAndManyParts: the number is the operator's choice.
func TestPromiseOnOneAndManyParts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 16} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			eventstest.Run(t, func(t *testing.T) eventstest.Bus { return promise(t, n) })
		})
	}
}

func promise(t *testing.T, parts int) *promised {
	t.Helper()
	b := &promised{bus: open(t), groups: map[string]*database.DB{}}
	b.exec(b.from, `CREATE TABLE accounts (name text PRIMARY KEY, n int NOT NULL)`)
	if _, err := postgres.NewLog(b.from.Pool()).Repartition(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	return b
}

// promised is a bus as the suite wants it, with a database for each group.
type promised struct {
	*bus
	groups map[string]*database.DB
}

// Begin implements eventstest.Bus.
func (b *promised) Begin(ctx context.Context, key string, n int) (eventstest.Tx, error) {
	tx := b.from.Gorm.WithContext(ctx).Begin()
	if tx.Error != nil {
		return nil, tx.Error
	}
	return gormTx{tx}, events.Publish(ctx, tx, deposited, deposit{key, n})
}

type gormTx struct{ tx *gorm.DB }

// Commit implements eventstest.Tx.
func (t gormTx) Commit() error { return t.tx.Commit().Error }

// Rollback implements eventstest.Tx.
func (t gormTx) Rollback() error { return t.tx.Rollback().Error }

// Next implements eventstest.Bus.
func (b *promised) Next(ctx context.Context, key string) error {
	return b.from.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var n int
		err := tx.Raw(`
INSERT INTO accounts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = accounts.n + 1 RETURNING n`, key).Scan(&n).Error
		if err != nil {
			return err
		}
		return events.Publish(ctx, tx, deposited, deposit{key, n})
	})
}

// Carry implements eventstest.Bus.
func (b *promised) Carry() (stop func()) { return b.relay() }

// Subscribe implements eventstest.Bus.
func (b *promised) Subscribe(group string, check eventstest.Check) (stop func()) {
	b.t.Helper()
	if b.groups[group] == nil {
		b.groups[group] = testkit.Postgres(b.t, group, nil)
		b.exec(b.groups[group], effectsTable)
	}
	db := testkit.Open(b.t, b.groups[group].Name())
	return testkit.Consumer(b.t, group, db, b.redis, b.log(), handledBy(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil {
			return err
		}
		return check(d.Account, d.N)
	}))
}

// Effects implements eventstest.Bus.
func (b *promised) Effects(group, key string) []int {
	b.t.Helper()
	return effectsIn(b.t, b.groups[group], key)
}

// WipeTransport implements eventstest.Bus.
func (b *promised) WipeTransport() {
	b.t.Helper()
	if err := b.redis.FlushDB(b.t.Context()).Err(); err != nil {
		b.t.Fatal(err)
	}
}

// CutPublisher implements eventstest.Bus.
func (b *promised) CutPublisher() { b.cut(b.from) }

// CutSubscriber implements eventstest.Bus.
func (b *promised) CutSubscriber(group string) { b.cut(b.groups[group]) }

// cut ends all sessions of a database but the one that does.
func (b *promised) cut(db *database.DB) {
	b.exec(db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ? AND pid <> pg_backend_pid()`, db.Name())
}

// InTransport implements eventstest.Bus.
func (b *promised) InTransport() int { return b.entries() }
