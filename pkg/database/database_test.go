package database_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestNameIsServiceAndEnvironment(t *testing.T) {
	t.Parallel()
	if got := database.Name("user-service", "development"); got != "user_service_development" {
		t.Error(got)
	}
}

func TestConfigMistakesNameTheirVariable(t *testing.T) {
	t.Parallel()
	_, err := env.Load[database.Config]([]string{"DB_PORT=0", "DB_POOL_MAX=2", "DB_POOL_MIN=3", "DB_SSLMODE=maybe", "DB_POOL_ACQUIRE=1h"})
	var problems *env.Error
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var got []string
	for _, m := range problems.Problems {
		got = append(got, m.Variable)
	}
	for _, want := range []string{"DB_PORT", "DB_POOL_MIN", "DB_SSLMODE", "DB_POOL_ACQUIRE", "DB_USER"} {
		found := false
		for _, v := range got {
			found = found || v == want
		}
		if !found {
			t.Errorf("no problem for %s in %v", want, got)
		}
	}
}

func TestWaitForAConnectionIsBounded(t *testing.T) {
	t.Parallel()
	cfg := testkit.Config(t)
	cfg.PoolMax, cfg.PoolAcquire = 1, time.Second
	db, err := database.Open(t.Context(), cfg, testkit.Postgres(t, "bounded", nil).Name())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Gorm.Transaction(func(*gorm.DB) error {
		began := time.Now()
		err := db.Gorm.Exec(`SELECT 1`).Error
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("waited %v", took)
		}
		if f := fault.From(err); !errors.Is(err, database.ErrBusy) || f.Kind() != fault.Unavailable || f.RetryAfter() <= 0 {
			t.Errorf("got %v, want ErrBusy with a time to try again", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Gorm.Exec(`SELECT 1`).Error; err != nil {
		t.Errorf("the connection was not returned: %v", err)
	}
}

func TestCallerWhoLeavesIsNotRefused(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "leaving", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Gorm.WithContext(ctx).Exec(`SELECT 1`).Error; !errors.Is(err, context.Canceled) || errors.Is(err, database.ErrBusy) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestUnreachableServerIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := testkit.Config(t)
	cfg.Port = 1
	db, err := database.Open(t.Context(), cfg, "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if err := db.Gorm.Exec(`SELECT 1`).Error; !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("a statement: got %v, want ErrUnavailable", err)
	}
}

// A probe does not stand in line behind requests.
func TestPingOfABusyPool(t *testing.T) {
	t.Parallel()
	cfg := testkit.Config(t)
	cfg.PoolMax = 1
	db, err := database.Open(t.Context(), cfg, testkit.Postgres(t, "busy", nil).Name())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Gorm.Transaction(func(*gorm.DB) error { return db.Ping(t.Context()) })
	if err != nil {
		t.Errorf("ping of a busy pool: %v", err)
	}
}

// Somebody migrates for as long as it takes: others can tell that nothing is
// pending for them.
func TestPendingDoesNotWaitForAMigration(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "pending", nil)
	schema := database.Schema{Table: "things_version", Files: migrations()}
	if n, err := db.Pending(t.Context(), schema); n != 2 || err != nil {
		t.Errorf("%d pending, %v; want 2", n, err)
	}
	if err := db.Migrate(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	tx := db.Gorm.Begin()
	defer tx.Rollback()
	if err := tx.Exec(`LOCK TABLE goose_lock`).Error; err != nil {
		t.Fatal(err)
	}
	if n, err := db.Pending(t.Context(), schema); n != 0 || err != nil {
		t.Errorf("%d pending, %v; want 0", n, err)
	}
}

func TestAfterCommitRunsOnceAndOnlyThen(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "committing", nil)
	ran := 0
	err := db.Gorm.Transaction(func(tx *gorm.DB) error {
		err := database.AfterCommit(tx, func() { ran++ })
		if ran != 0 {
			t.Error("ran before the commit")
		}
		return err
	})
	if err != nil || ran != 1 {
		t.Errorf("ran %d times, error %v", ran, err)
	}
	undo := errors.New("undo")
	err = db.Gorm.Transaction(func(tx *gorm.DB) error {
		return errors.Join(undo, database.AfterCommit(tx, func() { ran++ }))
	})
	if !errors.Is(err, undo) || ran != 1 {
		t.Errorf("ran %d times after a rollback, error %v", ran, err)
	}
	if err := database.AfterCommit(db.Gorm, func() {}); !errors.Is(err, database.ErrNoTransaction) {
		t.Errorf("got %v, want ErrNoTransaction", err)
	}
}

func TestFiveStartersMigrateOnce(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "migrating", nil)
	schema := database.Schema{Table: "things_version", Files: migrations()}
	if n, err := db.Pending(t.Context(), schema); err != nil || n != 2 {
		t.Fatalf("%d pending, error %v; want 2", n, err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := testkit.Open(t, db.Name()).Migrate(t.Context(), schema); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.Gorm.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil || n != 1 {
		t.Errorf("second migration ran %d times, error %v", n, err)
	}
	if n, err := db.Pending(t.Context(), schema); err != nil || n != 0 {
		t.Errorf("%d pending after, error %v", n, err)
	}
}

func TestFailingMigrationLeavesTheVersionBefore(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "failing", nil)
	files := migrations()
	files["00003_wrong.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nDROP TABLE things; SELECT nonsense;")}
	if err := db.Migrate(t.Context(), database.Schema{Table: "things_version", Files: files}); err == nil {
		t.Fatal("no error")
	}
	var n int
	if err := db.Gorm.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil || n != 1 {
		t.Errorf("%d things, error %v", n, err)
	}
}

func migrations() fstest.MapFS {
	return fstest.MapFS{
		"00001_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (name text);"), Mode: fs.ModePerm},
		"00002_first.sql":  {Data: []byte("-- +goose Up\nINSERT INTO things VALUES ('first');")},
	}
}
