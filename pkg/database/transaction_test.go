package database_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/testkit"
)

// things returns a database with the table things(n int primary key).
func things(t *testing.T) *gorm.DB {
	t.Helper()
	db := testkit.Postgres(t, "things", nil).Gorm
	if err := db.Exec(`CREATE TABLE things (n int PRIMARY KEY)`).Error; err != nil {
		t.Fatal(err)
	}
	return db
}

const insert = `INSERT INTO things VALUES (?)`

func count(t *testing.T, db *gorm.DB) (n int) {
	t.Helper()
	if err := db.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil {
		t.Error(err)
	}
	return n
}

func TestCommitOfAFailedTransactionFails(t *testing.T) {
	t.Parallel()
	db := things(t)
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec(insert, 1).Error; err != nil {
			return err
		}
		if err := tx.Exec(insert, 1).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
			t.Errorf("got %v, want gorm.ErrDuplicatedKey", err)
		}
		return nil
	})
	if n := count(t, db); err == nil || n != 0 {
		t.Errorf("%d rows were kept, error %v; want a refusal", n, err)
	}
}

func TestFirstStatementThatFailsIsTranslated(t *testing.T) {
	t.Parallel()
	db := things(t)
	if err := db.Exec(insert, 1).Error; err != nil {
		t.Fatal(err)
	}
	err := db.Transaction(func(tx *gorm.DB) error { return tx.Exec(insert, 1).Error })
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Errorf("got %v, want gorm.ErrDuplicatedKey", err)
	}
}

func TestTransactionOfACallerWhoLeftIsUndone(t *testing.T) {
	t.Parallel()
	db := things(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec(insert, 1).Error; err != nil {
			return err
		}
		cancel()
		testkit.Eventually(t, 10*time.Second, func() (problem string) { // database/sql rolls it back before the commit
			if err := db.Raw(`SELECT coalesce(max(state), '') FROM pg_stat_activity
				WHERE datname = current_database() AND state LIKE 'idle in transaction%'`).Scan(&problem).Error; err != nil {
				return err.Error()
			}
			return problem
		})
		return nil
	})
	if n := count(t, db); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("%d rows were kept, error %v; want context.Canceled", n, err)
	}
}

func TestTransactionKeepsItsOptions(t *testing.T) {
	t.Parallel()
	db := things(t)
	var level string
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Raw(`SHOW transaction_isolation`).Scan(&level).Error; err != nil {
			return err
		}
		return tx.Exec(insert, 1).Error
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err == nil || level != "repeatable read" {
		t.Errorf("level %q; writing into a read-only transaction gave %v", level, err)
	}
}

func TestTransactionIsOverOnce(t *testing.T) {
	t.Parallel()
	tx := things(t).Begin()
	if err := tx.Commit().Error; err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"rollback": tx.Rollback().Error, "commit": tx.Commit().Error, "statement": tx.Exec(insert, 1).Error,
	} {
		if !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("%s: got %v, want sql.ErrTxDone", name, err)
		}
	}
}
