package database_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/testkit"
)

// things gives a database with the table things(n int primary key).
func things(t *testing.T) *gorm.DB {
	t.Helper()
	db := testkit.Postgres(t, "things", nil).Gorm
	if err := db.Exec(`CREATE TABLE things (n int PRIMARY KEY)`).Error; err != nil {
		t.Fatal(err)
	}
	return db
}

const insert = `INSERT INTO things VALUES ($1)`

func count(t *testing.T, db *gorm.DB) (n int) {
	t.Helper()
	if err := db.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil {
		t.Error(err)
	}
	return n
}

func TestLaterTakesItsPlaceAmongStatements(t *testing.T) {
	t.Parallel()
	db := things(t)
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := database.Later(tx, insert, 1); err != nil {
			return err
		}
		if n := count(t, tx); n != 1 {
			t.Errorf("a query behind it sees %d rows, want 1", n)
		}
		if err := database.Later(tx, insert, 2); err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM things WHERE n = 2`).Error
	})
	if n := count(t, db); err != nil || n != 1 {
		t.Errorf("%d rows in the end, error %v; want 1", n, err)
	}
}

func TestLaterGoesWithItsSavepoint(t *testing.T) {
	t.Parallel()
	db := things(t)
	undo := errors.New("undo")
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := database.Later(tx, insert, 1); err != nil {
			return err
		}
		err := tx.Transaction(func(inner *gorm.DB) error { return errors.Join(undo, database.Later(inner, insert, 2)) })
		if !errors.Is(err, undo) {
			t.Error(err)
		}
		return database.Later(tx, insert, 3)
	})
	var kept []int
	if err := db.Raw(`SELECT n FROM things ORDER BY n`).Scan(&kept).Error; err != nil {
		t.Fatal(err)
	}
	if err != nil || len(kept) != 2 || kept[0] != 1 || kept[1] != 3 {
		t.Errorf("kept %v, error %v; want 1 and 3", kept, err)
	}
}

func TestLaterThatFailsUndoesAll(t *testing.T) {
	t.Parallel()
	db := things(t)
	committed := false
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec(insert, 1).Error; err != nil {
			return err
		}
		return errors.Join(database.AfterCommit(tx, func() { committed = true }), database.Later(tx, insert, 1))
	})
	if !errors.Is(err, gorm.ErrDuplicatedKey) || committed {
		t.Errorf("got %v, told of a commit: %v; want gorm.ErrDuplicatedKey", err, committed)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows were kept", n)
	}
	err = db.Transaction(func(tx *gorm.DB) error {
		if err := database.Later(tx, insert, "no number"); err != nil {
			return err
		}
		if err := tx.Exec(insert, 2).Error; err == nil {
			t.Error("a statement behind the failed one succeeded")
		}
		var n int
		if err := tx.Raw(`SELECT 1`).Row().Scan(&n); err == nil {
			t.Error("a query outside of any transaction was answered")
		}
		return tx.Exec(insert, 3).Error
	})
	if n := count(t, db); err == nil || n != 0 {
		t.Errorf("%d rows were kept, error %v", n, err)
	}
}

func TestSettleTellsWhoFails(t *testing.T) {
	t.Parallel()
	db := things(t)
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := errors.Join(database.Later(tx, insert, 1), database.Settle(t.Context(), tx)); err != nil {
			t.Errorf("what succeeds: %v", err)
		}
		if err := database.Later(tx, insert, 1); err != nil {
			t.Error(err)
		}
		return database.Settle(t.Context(), tx)
	})
	if n := count(t, db); err == nil || n != 0 {
		t.Errorf("%d rows were kept, error %v", n, err)
	}
}

func TestReadSeesWhatWaits(t *testing.T) {
	t.Parallel()
	db := things(t)
	var seen []int
	each := func(row database.Row) error {
		var n int
		err := row.Scan(&n)
		seen = append(seen, n)
		return err
	}
	stop := errors.New("stop")
	err := db.Transaction(func(tx *gorm.DB) error {
		for n := range 3 {
			if err := database.Later(tx, insert, n); err != nil {
				return err
			}
		}
		if err := database.Read(t.Context(), tx, each, `SELECT n FROM things WHERE n > $1 ORDER BY n`, 0); err != nil {
			return err
		}
		fail := func(database.Row) error { return stop }
		if err := database.Read(t.Context(), tx, fail, `SELECT n FROM things`); !errors.Is(err, stop) {
			t.Errorf("got %v, want the error of the reader", err)
		}
		return nil
	})
	if err != nil || len(seen) != 2 || seen[0] != 1 || seen[1] != 2 {
		t.Errorf("saw %v, error %v; want 1 and 2", seen, err)
	}
	if n := count(t, db); n != 3 {
		t.Errorf("%d rows were kept, want 3", n)
	}
	seen = nil
	if err := database.Read(t.Context(), db, each, `SELECT n FROM things WHERE n = $1`, 2); err != nil || len(seen) != 1 {
		t.Errorf("outside of a transaction saw %v, error %v; want 2", seen, err)
	}
	if err := database.Read(t.Context(), db, each, `SELECT n FROM nothing`); err == nil {
		t.Error("a query of no table succeeded")
	}
	if err := db.Exec(`SELECT 1`).Error; err != nil {
		t.Errorf("after a failed query: %v", err)
	}
}

func TestOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "outside", nil).Gorm
	for name, err := range map[string]error{
		"Later":  database.Later(db, insert, 1),
		"Settle": database.Settle(t.Context(), db),
	} {
		if !errors.Is(err, database.ErrNoTransaction) {
			t.Errorf("%s: got %v, want ErrNoTransaction", name, err)
		}
	}
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

// What reads on behind a commit would wait for ever.
func TestRowsThatNobodyClosedAreAnError(t *testing.T) {
	t.Parallel()
	db := things(t)
	err := db.Transaction(func(tx *gorm.DB) error {
		rows, err := tx.Raw(`SELECT generate_series(1, 100000)`).Rows()
		if err == nil {
			rows.Next()
		}
		return err
	})
	if err == nil {
		t.Error("nothing was said of rows left open")
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows", n)
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
