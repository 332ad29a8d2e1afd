package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// connectTimeout bounds one attempt to open a connection.
const connectTimeout = 5 * time.Second

// DB is one service's database. It is safe for concurrent use.
type DB struct {
	// Gorm is what models and services use. Its transactions support
	// AfterCommit.
	Gorm *gorm.DB

	name     string
	sql      *sql.DB
	pool     *pgxpool.Pool
	observer *observer
}

// Open prepares the pool of the database called name. It does not wait for the
// server: connections are made when needed, to the one of the hosts that takes
// writes. The error is about a malformed configuration.
func Open(ctx context.Context, cfg Config, name string) (*DB, error) {
	pc, err := pgxpool.ParseConfig(cfg.url(name))
	if err != nil {
		return nil, fmt.Errorf("parse database configuration: %w", err)
	}
	pc.MaxConns, pc.MinConns = int32(cfg.PoolMax), int32(cfg.PoolMin) // #nosec G115 -- validated, at most 1000
	pc.MaxConnIdleTime = cfg.PoolIdle
	pc.ConnConfig.ConnectTimeout = connectTimeout
	pc.ConnConfig.OnPgError = keepConn
	pc.ConnConfig.DefaultQueryExecMode = cfg.execMode()
	watch := &observer{name: name}
	pc.ConnConfig.Tracer = watch
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), pool, cfg.PoolAcquire})
	db.SetMaxIdleConns(0) // the pgx pool keeps the idle ones
	dialect := dialector{postgres.New(postgres.Config{Conn: &connPool{db}}).(*postgres.Dialector)}
	g, err := gorm.Open(dialect, &gorm.Config{
		SkipDefaultTransaction: true,
		PrepareStmt:            false, // pgx caches statements already
		TranslateError:         true,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard, // errors are returned, and logged where they end
		NowFunc:                Now,
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return &DB{Gorm: g, name: name, sql: db, pool: pool, observer: watch}, nil
}

// Now is the current time as Postgres keeps it: UTC, in whole microseconds, so
// that a value reads back as it was written.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Name is the name of the database.
func (d *DB) Name() string { return d.name }

// Ping reports whether the server takes writes. It does not wait for the pool: with
// all connections taken it uses a dedicated one.
func (d *DB) Ping(ctx context.Context) error {
	var reads bool
	err := d.queryValue(ctx, `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean`, &reads)
	switch {
	case err != nil:
		return fmt.Errorf("ping database %s: %w", d.name, ErrUnavailable.With(err))
	case reads:
		d.pool.Reset() // another connection finds the server that writes
		return fmt.Errorf("ping database %s: %w", d.name, ErrUnavailable.With(errors.New("the server only reads")))
	}
	return nil
}

// queryValue reads one value.
func (d *DB) queryValue(ctx context.Context, query string, value any) error {
	if d.pool.Stat().AcquiredConns() < d.pool.Stat().MaxConns() {
		return d.pool.QueryRow(ctx, query).Scan(value)
	}
	conn, err := d.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, query).Scan(value)
}

// Stat returns how the pool is used.
func (d *DB) Stat() *pgxpool.Stat { return d.pool.Stat() }

// Connect opens a connection outside the pool. The caller closes it.
func (d *DB) Connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", d.name, err)
	}
	return conn, nil
}

// Close closes every connection, after those in use have been returned.
func (d *DB) Close() error {
	err := d.sql.Close()
	d.pool.Close()
	return err
}

// Pool returns the connections themselves, for statements that do not go through
// GORM.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }
