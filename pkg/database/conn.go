package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector takes connections of a pool for database/sql.
type connector struct {
	driver.Connector
	pool *pgxpool.Pool
	wait time.Duration // for a free connection
}

// Connect implements driver.Connector. A connection that the server ends while it
// is made is replaced.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	taken, err := c.Connector.Connect(limited)
	for n := 0; n < repeats && endedEarly(err) && limited.Err() == nil; n++ {
		taken, err = c.Connector.Connect(limited)
	}
	switch {
	case err == nil:
		return conn{taken.(*stdlib.Conn), c.pool}, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err() // the caller left; this is no refusal
	case c.pool.Stat().AcquiredConns() == c.pool.Stat().MaxConns():
		return nil, ErrBusy.With(err)
	default:
		return nil, ErrUnavailable.With(err)
	}
}

// endedEarly reports that the server accepted a connection and ended it before it
// was ready. One that is down, starting or full says so otherwise.
func endedEarly(err error) bool {
	if code := codeOf(err); code != "" {
		return code == "57P01" // admin_shutdown
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

type stdConn = stdlib.Conn

// conn is a connection as database/sql has it.
type conn struct {
	*stdConn
	pool *pgxpool.Pool
}

// judge returns err, the outcome of a statement. When a connection was lost, the
// idle ones have likely gone the same way: the pool drops them.
func (c conn) judge(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !c.Conn().IsClosed() {
		return err
	}
	c.pool.Reset()
	return lost(err)
}

// ExecContext implements driver.ExecerContext.
func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.stdConn.ExecContext(ctx, query, args)
	return result, c.judge(ctx, err)
}

// QueryContext implements driver.QueryerContext. Outside of a transaction
// database/sql repeats a SELECT whose connection was lost on another one.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	idle := c.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.stdConn.QueryContext(ctx, query, args)
	if err = c.judge(ctx, err); errors.Is(err, errLost) && idle && strings.HasPrefix(strings.TrimSpace(query), "SELECT ") {
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return rows, err
}

// BeginTx implements driver.ConnBeginTx. The limits of the transaction travel with
// BEGIN, and end with it: a pooler may give the session to somebody else then.
func (c conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin(opts)})
	if err = c.judge(ctx, err); err != nil {
		if errors.Is(err, errLost) { // nothing has begun
			err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
		}
		return nil, err
	}
	return transactionOn{ctx, tx, c}, nil
}

// Limits of each transaction.
const (
	lockTimeout      = 3 * time.Second
	statementTimeout = 15 * time.Second
	idleTimeout      = 10 * time.Second // between statements; a frozen process gives its locks up
)

func begin(opts driver.TxOptions) string {
	b := "begin"
	if level := sql.IsolationLevel(opts.Isolation); level != sql.LevelDefault {
		b += " isolation level " + level.String()
	}
	if opts.ReadOnly {
		b += " read only"
	}
	return fmt.Sprintf("%s; set local lock_timeout = %d; set local statement_timeout = %d; set local idle_in_transaction_session_timeout = %d",
		b, lockTimeout.Milliseconds(), statementTimeout.Milliseconds(), idleTimeout.Milliseconds())
}

// commitTime bounds the answer to COMMIT and to ROLLBACK, also for a caller who
// leaves: one who went away in the middle would make the outcome unknown.
const commitTime = 5 * time.Second

// transactionOn is a transaction as database/sql has it.
type transactionOn struct {
	ctx  context.Context
	tx   pgx.Tx
	conn conn
}

// Commit implements driver.Tx.
func (t transactionOn) Commit() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), commitTime)
	defer cancel()
	if t.conn.Conn().IsClosed() {
		return lost(pgx.ErrTxClosed)
	}
	err := t.tx.Commit(ctx)
	if err == nil || hasEnded(err) {
		return err
	}
	t.conn.pool.Reset()
	return ErrOutcomeUnknown.With(err)
}

// Rollback implements driver.Tx.
func (t transactionOn) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), commitTime)
	defer cancel()
	err := t.tx.Rollback(ctx)
	if t.conn.Conn().IsClosed() {
		return nil // rolled back by the server
	}
	return err
}

// keeps reports whether a connection is of use after an error of the server. One
// that only reads was demoted: another connection finds the server that writes.
func keeps(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	return err.Severity != "FATAL" && err.Code != "25006"
}
