package database_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/testkit"
)

const awhile = 10 * time.Second

// losing is a database behind a proxy that can cut its connections.
type losing struct {
	*database.DB
	direct *database.DB
	proxy  *testkit.Proxy
}

func openLosing(t *testing.T) losing {
	t.Helper()
	direct := testkit.Postgres(t, "losing", nil)
	cfg := testkit.Config(t)
	proxy := testkit.NewProxy(t, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	cfg.Host, cfg.Port = "127.0.0.1", proxy.Port()
	db, err := database.Open(t.Context(), cfg, direct.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := direct.Gorm.Exec(`CREATE TABLE things (n int PRIMARY KEY)`).Error; err != nil {
		t.Fatal(err)
	}
	return losing{db, direct, proxy}
}

// once judges the first piece that has text in it.
func (l losing) once(text string, v testkit.Verdict) {
	var done atomic.Bool
	l.proxy.Judge(func(sent []byte) testkit.Verdict {
		if bytes.Contains(sent, []byte(text)) && done.CompareAndSwap(false, true) {
			return v
		}
		return testkit.Pass
	})
}

func (l losing) things(t *testing.T) int {
	t.Helper()
	var n int
	if err := l.direct.Gorm.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// insert adds a thing and gives how often the function ran, and how often what
// it left for after the commit.
func (l losing) insert(t *testing.T) (runs, after int, err error) {
	t.Helper()
	err = database.Transaction(t.Context(), l.Gorm, func(tx *gorm.DB) error {
		runs++
		return errors.Join(
			database.AfterCommit(tx, func() { after++ }),
			tx.Exec(`SELECT 1`).Error,
			tx.Exec(`INSERT INTO things SELECT count(*) FROM things`).Error)
	})
	return runs, after, err
}

func TestTransactionIsRetriedOnALostConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at string
		verdict  testkit.Verdict
		runs     int
	}{
		{"lost while it is made", "user\x00", testkit.Cut, 1},
		{"lost at the beginning", "begin", testkit.Cut, 1},
		{"lost in the answer to the beginning", "begin", testkit.CutReply, 1},
		{"lost in mid-work", "INSERT", testkit.CutReply, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := openLosing(t)
			l.once(c.at, c.verdict)
			runs, after, err := l.insert(t)
			if err != nil || runs != c.runs || after != 1 {
				t.Errorf("ran %d times, want %d, and %d times after the commit: %v", runs, c.runs, after, err)
			}
			if n := l.things(t); n != 1 {
				t.Errorf("%d rows, want 1", n)
			}
		})
	}
}

// A commit that is not answered may have taken place or not. Neither is claimed,
// and nothing is done twice.
func TestUnknownOutcomeIsReturnedAndNotRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verdict testkit.Verdict
		rows    int
	}{
		{"lost before the server got it", testkit.Cut, 0},
		{"lost in the answer", testkit.CutReply, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := openLosing(t)
			l.once("commit\x00", c.verdict)
			runs, _, err := l.insert(t)
			if !errors.Is(err, database.ErrOutcomeUnknown) || runs != 1 {
				t.Errorf("ran %d times: %v", runs, err)
			}
			testkit.Eventually(t, awhile, func() string {
				if n := l.things(t); n != c.rows {
					return fmt.Sprintf("%d rows, want %d", n, c.rows)
				}
				return ""
			})
		})
	}
}

func TestConnectionThatIsAlwaysLostEndsInAnError(t *testing.T) {
	t.Parallel()
	l := openLosing(t)
	l.proxy.Judge(func(sent []byte) testkit.Verdict {
		if bytes.Contains(sent, []byte("INSERT")) {
			return testkit.Cut
		}
		return testkit.Pass
	})
	runs, after, err := l.insert(t)
	if err == nil || runs != 3 || after != 0 || l.things(t) != 0 {
		t.Errorf("ran %d times, and %d after the commit: %v", runs, after, err)
	}
}

func TestTransactionIsNotRepeatedForItsOwnError(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "own", nil)
	own, runs := errors.New("own"), 0
	err := database.Transaction(t.Context(), db.Gorm, func(tx *gorm.DB) error {
		runs++
		return database.Transaction(t.Context(), tx, func(*gorm.DB) error { return own })
	})
	if !errors.Is(err, own) || runs != 1 {
		t.Errorf("ran %d times: %v", runs, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = database.Transaction(ctx, db.Gorm, func(tx *gorm.DB) error {
		runs++
		cancel()
		return tx.Exec(`SELECT 1`).Error
	})
	if !errors.Is(err, context.Canceled) || runs != 2 {
		t.Errorf("ran %d times: %v", runs, err)
	}
}

func TestReadIsRetriedOnALostConnection(t *testing.T) {
	t.Parallel()
	l := openLosing(t)
	for _, v := range []testkit.Verdict{testkit.Cut, testkit.CutReply} {
		l.once("count", v)
		var n int
		if err := l.Gorm.Raw(`SELECT count(*) FROM things`).Scan(&n).Error; err != nil {
			t.Error(err)
		}
	}
	l.once("INSERT", testkit.CutReply) // what may have been done is not repeated
	if err := l.Gorm.Exec(`INSERT INTO things VALUES (1)`).Error; err == nil {
		t.Error("the loss of a write's connection was not told")
	}
}

// Sessions are ended by the server again and again, all of them, under writers:
// each write is made once, when what is unknown is repeated by its key.
func TestWritersOutliveEndedSessions(t *testing.T) {
	t.Parallel()
	l := openLosing(t)
	if err := l.direct.Gorm.Exec(`CREATE TABLE written (n int PRIMARY KEY)`).Error; err != nil {
		t.Fatal(err)
	}
	const writers, drops = 8, 50
	var next, runs, unknown atomic.Int64
	var dropped atomic.Bool
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for !dropped.Load() {
				n := next.Add(1)
				write := func() error {
					return database.Transaction(t.Context(), l.Gorm, func(tx *gorm.DB) error {
						runs.Add(1)
						return tx.Exec(`INSERT INTO written VALUES (?) ON CONFLICT DO NOTHING`, n).Error
					})
				}
				err := write()
				for errors.Is(err, database.ErrOutcomeUnknown) || errors.Is(err, database.ErrUnavailable) { // as a caller with a key does
					unknown.Add(1)
					err = write()
				}
				if err != nil {
					t.Errorf("write %d: %v", n, err)
				}
			}
		})
	}
	other := testkit.Postgres(t, "other", nil) // whose sessions are spared
	for range drops {
		before := runs.Load()
		testkit.Eventually(t, awhile, func() string {
			if runs.Load() < before+writers {
				return "the writers stand still"
			}
			return ""
		})
		err := other.Gorm.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?`, l.Name()).Error
		if err != nil {
			t.Error(err)
		}
	}
	dropped.Store(true)
	wg.Wait()
	var rows, distinct int64
	err := l.Gorm.Raw(`SELECT count(*), count(DISTINCT n) FROM written`).Row().Scan(&rows, &distinct)
	if err != nil || rows != next.Load() || distinct != rows {
		t.Errorf("%d rows of %d writes, %d distinct: %v", rows, next.Load(), distinct, err)
	}
	t.Logf("%d writes in %d transactions, %d of them with an unknown outcome or refused", rows, runs.Load(), unknown.Load())
}
