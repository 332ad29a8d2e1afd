package testkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/idempotency"
)

// Postgres returns a database of the test's own with schema (nil for none), the tables
// of packages events and idempotency, and the outbox of service installed. It is dropped
// when the test ends.
func Postgres(t testing.TB, service string, schema fs.FS) *database.DB {
	t.Helper()
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	CreateMigrated(t, name, schema)
	db := Open(t, name)
	if err := db.Gorm.Use(events.NewOutbox(service)); err != nil {
		t.Fatal(err)
	}
	return db
}

// CreateMigrated creates a database as the subcommand migrate leaves it: with schema (nil
// for none) and the tables of packages events and idempotency. It is dropped when the
// test ends.
func CreateMigrated(t testing.TB, name string, schema fs.FS) {
	t.Helper()
	var schemas []database.Schema // in the order of package chassis
	if schema != nil {
		schemas = append(schemas, database.Schema{Table: "schema_version", Files: schema})
	}
	schemas = append(schemas, events.Schema(), idempotency.Schema())
	create(t, name, name+` TEMPLATE `+makeTemplate(t, schemas))
}

// CreateDatabase makes an empty database, which is dropped when the test ends.
func CreateDatabase(t testing.TB, name string) {
	t.Helper()
	create(t, name, name)
}

func create(t testing.TB, name, definition string) {
	t.Helper()
	onServer(t, `CREATE DATABASE `+definition)
	t.Cleanup(func() { onServer(t, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
}

// Open returns another handle, with its own connections, to a test's database.
func Open(t testing.TB, name string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), Config(t), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return db
}

// Config is how the tests' Postgres is reached. DB_STATEMENT_CACHE holds for tests as
// for services: a pooler may stand before the server.
func Config(t testing.TB) database.Config {
	t.Helper()
	u, err := url.Parse(adminURL(t))
	if err != nil {
		t.Fatal("TEST_POSTGRES_URL is not a URL")
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal("TEST_POSTGRES_URL has no port")
	}
	password, _ := u.User.Password()
	return database.Config{
		Host: u.Hostname(), Port: port, User: u.User.Username(), Password: env.NewSecret(password),
		SSLMode: "disable", PoolMax: 5, PoolMin: 0, PoolAcquire: 5 * time.Second, PoolIdle: 10 * time.Second,
		Statements: cmp.Or(os.Getenv("DB_STATEMENT_CACHE"), "prepared"),
	}
}

func adminURL(t testing.TB) string {
	t.Helper()
	return loadServers(t).Postgres.Reveal()
}

// makeTemplate makes a database with the schemas, once for all processes that
// test at the time, and returns its name.
func makeTemplate(t testing.TB, schemas []database.Schema) string {
	t.Helper()
	name := "template_" + fingerprint(t, schemas)
	conn := connect(t)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context()) // a pooler keeps no session's locks
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtext('testkit'))`); err != nil {
		t.Fatal(err)
	}
	var made bool
	query := `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`
	if err := tx.QueryRow(t.Context(), query, name).Scan(&made); err != nil {
		t.Fatal(err)
	}
	if made {
		return name
	}
	draft := name + "_draft"
	onServer(t, `DROP DATABASE IF EXISTS `+draft, `CREATE DATABASE `+draft)
	db, err := database.Open(t.Context(), Config(t), draft)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context(), schemas...)
	db.Close()
	if err != nil {
		t.Fatal(err)
	}
	onServer(t, `ALTER DATABASE `+draft+` RENAME TO `+name)
	return name
}

// fingerprint names the contents of schemas.
func fingerprint(t testing.TB, schemas []database.Schema) string {
	t.Helper()
	h := sha256.New()
	for _, s := range schemas {
		err := fs.WalkDir(s.Files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(s.Files, path)
			fmt.Fprintf(h, "%s/%s %d\n%s", s.Table, path, len(data), data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(adminURL(t))
	if err != nil {
		t.Fatal("TEST_POSTGRES_URL is not a URL")
	}
	cfg.ConnectTimeout = 10 * time.Second
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // as a transaction pooler wants it
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("TEST_POSTGRES_URL: %v", err)
	}
	return conn
}

// onServer executes statements, also when the test has ended.
func onServer(t testing.TB, statements ...string) {
	t.Helper()
	conn := connect(t)
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
