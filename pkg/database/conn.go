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
	made, err := c.Connector.Connect(limited)
	for n := 0; n < repeats && endedEarly(err) && limited.Err() == nil; n++ {
		made, err = c.Connector.Connect(limited)
	}
	switch {
	case err == nil:
		return conn{made.(*stdlib.Conn), c.pool}, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err() // the caller left: the database is not to blame
	case c.pool.Stat().AcquiredConns() == c.pool.Stat().MaxConns():
		return nil, ErrBusy.With(err)
	default:
		return nil, ErrUnavailable.With(err)
	}
}

// endedEarly reports whether the server accepted a connection and ended it before it
// was ready. One that is down, starting or full says so otherwise.
func endedEarly(err error) bool {
	if code := codeOf(err); code != "" {
		return code == "57P01" // admin_shutdown
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

type stdConn = stdlib.Conn

// conn is a connection for database/sql.
type conn struct {
	*stdConn
	pool *pgxpool.Pool
}

// check returns err, the outcome of a statement, as one of a lost connection if it was lost.
// The idle ones have likely been lost too: the pool drops them.
func (c conn) check(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !c.Conn().IsClosed() {
		return err
	}
	c.pool.Reset()
	return lost(err)
}

// ExecContext implements driver.ExecerContext.
func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.stdConn.ExecContext(ctx, query, args)
	return result, c.check(ctx, err)
}

// QueryContext implements driver.QueryerContext. Outside of a transaction
// database/sql repeats a SELECT whose connection was lost on another one.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	idle := c.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.stdConn.QueryContext(ctx, query, args)
	if err = c.check(ctx, err); errors.Is(err, errLost) && idle && strings.HasPrefix(strings.TrimSpace(query), "SELECT ") {
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return rows, err
}

// BeginTx implements driver.ConnBeginTx. The limits of the transaction travel with
// BEGIN, and end with it: a pooler may give the session to another client then.
func (c conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin(opts)})
	if err = c.check(ctx, err); err != nil {
		if errors.Is(err, errLost) { // nothing has begun
			err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
		}
		return nil, err
	}
	return transactionOn{ctx, tx, c}, nil
}

// limits are those of each transaction. The last is the time between statements: a frozen
// process loses its locks.
const limits = "; set local lock_timeout = '3s'; set local statement_timeout = '15s'" +
	"; set local idle_in_transaction_session_timeout = '10s'"

func begin(opts driver.TxOptions) string {
	b := "begin"
	if level := sql.IsolationLevel(opts.Isolation); level != sql.LevelDefault {
		b += " isolation level " + level.String()
	}
	if opts.ReadOnly {
		b += " read only"
	}
	return b + limits
}

// commitTime bounds the answer to COMMIT and to ROLLBACK. A caller that leaves does not end
// the wait: the outcome would be unknown.
const commitTime = 5 * time.Second

// transactionOn is a transaction for database/sql.
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

// keepConn reports whether a connection is of use after an error of the server. A server
// that only reads was demoted: another connection finds the one that writes.
func keepConn(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	return err.Severity != "FATAL" && err.Code != "25006"
}
