package database_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/testkit"
)

// raise has Postgres fail with a code, the first n times.
func raise(tx *gorm.DB, runs *int, n int, code string) error {
	*runs++
	if *runs > n {
		return tx.Exec(`SELECT 1`).Error
	}
	return tx.Exec(fmt.Sprintf(`DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '%s'; END $$`, code)).Error
}

// Errors that mean "again" are repeated; those that mean "not now" are answered
// with 503, and what the caller did wrong as it is.
func TestErrorClasses(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "classes", nil).Gorm
	for _, c := range []struct {
		code    string
		repeats bool
		want    error // when it does not go away
	}{
		{"40001", true, database.ErrBusy},
		{"40P01", true, database.ErrBusy},
		{"25006", true, database.ErrUnavailable},
		{"55P03", false, database.ErrBusy},
		{"57014", false, database.ErrBusy},
		{"53100", false, database.ErrUnavailable},
		{"57P03", false, database.ErrUnavailable},
		{"23505", false, gorm.ErrDuplicatedKey},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			runs := 0
			err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error { return raise(tx, &runs, 2, c.code) })
			if c.repeats != (err == nil && runs == 3) {
				t.Errorf("ran %d times, %v", runs, err)
			}
			runs = 0
			err = database.Transaction(t.Context(), db, func(tx *gorm.DB) error { return raise(tx, &runs, 99, c.code) })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if want := !errors.Is(c.want, gorm.ErrDuplicatedKey); database.IsRetryable(err) != want {
				t.Errorf("IsRetryable says %v of %v", !want, err)
			}
		})
	}
}

// A statement was prepared, and its table got a column: nobody notices.
func TestTableChangesUnderPreparedStatements(t *testing.T) {
	t.Parallel()
	db := things(t)
	read := func() error {
		return database.Transaction(t.Context(), db, func(tx *gorm.DB) error {
			var rows []map[string]any
			return tx.Raw(`SELECT * FROM things`).Scan(&rows).Error
		})
	}
	for range 20 { // on all connections
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Exec(`ALTER TABLE things ADD COLUMN more int`).Error; err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := read(); err != nil {
			t.Error(err)
		}
	}
}

// A transaction whose process is frozen gives its locks up.
func TestLimitsOfATransaction(t *testing.T) {
	t.Parallel()
	db := things(t)
	limits := map[string]string{}
	err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error {
		for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
			var value string
			if err := tx.Raw(`SELECT current_setting(?)`, name).Scan(&value).Error; err != nil {
				return err
			}
			limits[name] = value
		}
		return nil
	})
	if err != nil || limits["lock_timeout"] != "3s" || limits["statement_timeout"] != "15s" || limits["idle_in_transaction_session_timeout"] != "10s" {
		t.Errorf("limits %v, %v", limits, err)
	}
	holder := db.Begin()
	defer holder.Rollback()
	if err := holder.Exec(insert, 1).Error; err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() string { // the holder says nothing for 10 s
		if err := db.Exec(`INSERT INTO things VALUES (1) ON CONFLICT DO NOTHING`).Error; err != nil {
			return err.Error()
		}
		return ""
	})
}

// The server is demoted: it goes on and only reads. Its connections are given up,
// and when it takes writes again, or another host does, all is well.
func TestDemotedServer(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t, "demoted", nil)
	write := func() error {
		return database.Transaction(t.Context(), db.Gorm, func(tx *gorm.DB) error {
			return tx.Exec(`CREATE TABLE IF NOT EXISTS demoted (n int)`).Error
		})
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	other := testkit.Postgres(t, "admin", nil)
	readOnly := func(on string) {
		if err := other.Gorm.Exec(`ALTER DATABASE ` + db.Name() + ` SET default_transaction_read_only = ` + on).Error; err != nil {
			t.Fatal(err)
		}
		// Sessions keep what they began with; on a real server all change at once.
		if err := other.Gorm.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?`, db.Name()).Error; err != nil {
			t.Fatal(err)
		}
	}
	readOnly("on")
	if err := write(); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("a write to a server that only reads: %v", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("ping of a server that only reads: %v", err)
	}
	readOnly("off")
	testkit.Eventually(t, awhile, func() string {
		if err := errors.Join(write(), db.Ping(t.Context())); err != nil {
			return err.Error()
		}
		return ""
	})
}

// Through a pooler that gives the session to somebody else after each transaction.
func TestTransactionPooler(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			t.Skip("NOT TESTED: pgbouncer is not installed (apt-get install pgbouncer)")
		}
	}
	direct := testkit.Postgres(t, "pooled", nil)
	cfg := testkit.Config(t)
	port := freePort(t)
	dir := t.TempDir()
	users := fmt.Sprintf("%q %q\n", cfg.User, cfg.Password.Reveal())
	ini := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = transaction
default_pool_size = 3
`, cfg.Host, cfg.Port, port, filepath.Join(dir, "users.txt"))
	for name, text := range map[string]string{"users.txt": users, "pgbouncer.ini": ini} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{filepath.Join(dir, "pgbouncer.ini")}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
		for parent := dir; parent != "/" && parent != os.TempDir(); parent = filepath.Dir(parent) {
			_ = os.Chmod(parent, 0o755)
		}
	}
	server := exec.Command(program, args...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	cfg.Host, cfg.Port, cfg.Statements = "127.0.0.1", port, "described"
	db, err := database.Open(t.Context(), cfg, direct.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testkit.Eventually(t, awhile, func() string {
		if err := db.Ping(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	schema := database.Schema{Table: "things_version", Files: migrations()}
	if err := db.Migrate(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Pending(t.Context(), schema); n != 0 || err != nil {
		t.Errorf("%d pending, %v", n, err)
	}
	for n := range 50 {
		err := database.Transaction(t.Context(), db.Gorm, func(tx *gorm.DB) error {
			var got int
			err := tx.Raw(`SELECT ?::int`, n).Scan(&got).Error
			if err == nil && got != n {
				err = fmt.Errorf("got %d, want %d", got, n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
