package testkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	admin := adminURL(t)
	var schemas []database.Schema // in the order of package chassis
	if schema != nil {
		schemas = append(schemas, database.Schema{Table: "schema_version", Files: schema})
	}
	schemas = append(schemas, events.Schema(), idempotency.Schema())
	template := makeTemplate(t, admin, schemas)
	onServer(t, admin, `CREATE DATABASE `+name+` TEMPLATE `+template)
	t.Cleanup(func() { onServer(t, admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
}

// CreateDatabase makes an empty database, which is dropped when the test ends.
func CreateDatabase(t testing.TB, name string) {
	t.Helper()
	admin := adminURL(t)
	onServer(t, admin, `CREATE DATABASE `+name)
	t.Cleanup(func() { onServer(t, admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
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
// test at the time, and gives its name.
func makeTemplate(t testing.TB, admin string, schemas []database.Schema) string {
	t.Helper()
	name := "template_" + fingerprint(t, schemas)
	conn := connect(t, admin)
	defer conn.Close(context.Background())
	run := func(query string) {
		if _, err := conn.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	lock := connect(t, admin)
	defer lock.Close(context.Background())
	tx, err := lock.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtext('testkit'))`); err != nil { // a pooler keeps no session's locks
		t.Fatal(err)
	}
	var made bool
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&made); err != nil {
		t.Fatal(err)
	}
	if made {
		return name
	}
	draft := name + "_draft"
	run(`DROP DATABASE IF EXISTS ` + draft)
	run(`CREATE DATABASE ` + draft)
	db, err := database.Open(t.Context(), Config(t), draft)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context(), schemas...)
	db.Close()
	if err != nil {
		t.Fatal(err)
	}
	run(`ALTER DATABASE ` + draft + ` RENAME TO ` + name)
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
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func connect(t testing.TB, admin string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cfg, err := pgx.ParseConfig(admin)
	if err != nil {
		t.Fatal("TEST_POSTGRES_URL is not a URL")
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // as a transaction pooler wants it
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatalf("TEST_POSTGRES_URL: %v", err)
	}
	return conn
}

func onServer(t testing.TB, admin, query string) {
	t.Helper()
	conn := connect(t, admin)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), query); err != nil {
		t.Errorf("%s: %v", query, err)
	}
}
