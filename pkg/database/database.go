package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/go-troika/troika/pkg/fault"
)

// ErrBusy is returned when no connection became free in time: every one is
// taken, or the server cannot be reached. Trying again later may succeed.
var ErrBusy = fault.New(fault.Unavailable, "database_busy", "Service is busy, try again").WithRetryAfter(time.Second)

// connectTimeout bounds one attempt to open a connection.
const connectTimeout = 5 * time.Second

// DB is one service's database. It is safe for concurrent use.
type DB struct {
	// Gorm is what models and services use. Its transactions support
	// AfterCommit.
	Gorm *gorm.DB

	name string
	sql  *sql.DB
	pool *pgxpool.Pool
}

// Option changes how a database is opened.
type Option func(*pgxpool.Config)

// WithSetting gives every connection a run-time parameter of Postgres, such as
// idle_in_transaction_session_timeout.
func WithSetting(name, value string) Option {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams[name] = value }
}

// Open prepares the pool of the database called name. It does not wait for the
// server: connections are made when needed, and Ping tells whether one can be.
// The error is about a malformed configuration.
func Open(ctx context.Context, cfg Config, name string, opts ...Option) (*DB, error) {
	pc, err := pgxpool.ParseConfig(cfg.url(name))
	if err != nil {
		return nil, fmt.Errorf("parse database configuration: %w", err)
	}
	pc.MaxConns, pc.MinConns = int32(cfg.PoolMax), int32(cfg.PoolMin)
	pc.MaxConnIdleTime = cfg.PoolIdle
	pc.ConnConfig.ConnectTimeout = connectTimeout
	from := &supply{wait: cfg.PoolAcquire}
	pc.ShouldPing = from.shouldPing
	for _, o := range opts {
		o(pc)
	}
	if from.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return open(from, name)
}

func open(from *supply, name string) (*DB, error) {
	db := sql.OpenDB(boundedConnector{stdlib.GetPoolConnector(from.pool), from})
	db.SetMaxIdleConns(0) // the pgx pool keeps the idle ones
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: &connPool{db, from}}), &gorm.Config{
		SkipDefaultTransaction: true,
		PrepareStmt:            false, // pgx caches statements already
		TranslateError:         true,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard, // errors are returned, and logged where they end
		NowFunc:                Now,
	})
	if err != nil {
		from.pool.Close()
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return &DB{Gorm: g, name: name, sql: db, pool: from.pool}, nil
}

// Now is the current time as Postgres keeps it: UTC, in whole microseconds, so
// that a value reads back as it was written.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Name is the name of the database.
func (d *DB) Name() string { return d.name }

// Ping reports whether a connection can be had and answers.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.sql.PingContext(ctx); err != nil {
		return fmt.Errorf("ping database %s: %w", d.name, err)
	}
	return nil
}

// Stat tells how the pool is used.
func (d *DB) Stat() *pgxpool.Stat { return d.pool.Stat() }

// Connect opens a connection of its own, outside the pool, for what needs a
// session: advisory locks and LISTEN. The caller closes it. Through a pooler
// such as PgBouncer in transaction mode it would not keep its session.
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

// boundedConnector takes connections for database/sql.
type boundedConnector struct {
	driver.Connector
	supply *supply
}

// Connect implements driver.Connector.
func (c boundedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	taken, err := take(ctx, c.supply.wait, c.Connector.Connect)
	if err != nil {
		return nil, err
	}
	return conn{taken.(*pgxConn), c.supply}, nil
}

// Pool returns the connections themselves, for statements that do not go through
// GORM.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }
