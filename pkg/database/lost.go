package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

type pgxConn = stdlib.Conn

// conn is a connection of the pool that tells when it is lost. What can be done
// over again on another without harm is: database/sql does so for
// driver.ErrBadConn. That is a BEGIN, or a SELECT outside of a transaction.
type conn struct {
	*pgxConn
	watch *watch
}

// watch remembers that a connection was lost. For a while then, every connection
// is asked for a sign of life before it is used: others have likely gone the same
// way.
type watch struct{ until atomic.Int64 } // Unix time in ns

const watchTime = time.Second

func (w *watch) begin() { w.until.Store(time.Now().Add(watchTime).UnixNano()) }

// shouldPing is for the pool, which itself asks what was idle for a second.
func (w *watch) shouldPing(_ context.Context, p pgxpool.ShouldPingParams) bool {
	return p.IdleDuration > time.Second || time.Now().UnixNano() < w.until.Load()
}

// fate is what became of a transaction, as far as its connection could tell.
type fate struct {
	id       string // Postgres' own number of the transaction
	lost     bool   // the connection ended before the answer
	doubtful bool   // and the server may have got the COMMIT
}

type fateKey struct{}

// isLost reports whether the server's end of the connection is gone. A caller
// who leaves closes connections too, and then nobody waits for an answer.
func (c conn) isLost(ctx context.Context) bool { return c.Conn().IsClosed() && ctx.Err() == nil }

// again marks the error of a lost connection as one of no consequence.
func (c conn) again(ctx context.Context, err error) error {
	if err == nil || !c.isLost(ctx) {
		return err
	}
	c.watch.begin()
	return fmt.Errorf("%w: %w", driver.ErrBadConn, err)
}

// QueryContext implements driver.QueryerContext.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	idle := c.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.pgxConn.QueryContext(ctx, query, args)
	if err != nil && idle && strings.HasPrefix(strings.TrimSpace(query), "SELECT ") {
		err = c.again(ctx, err)
	}
	return rows, err
}

// BeginTx implements driver.ConnBeginTx. The transaction's number comes in the
// same round trip.
func (c conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	f, ok := ctx.Value(fateKey{}).(*fate)
	if !ok || opts != (driver.TxOptions{}) {
		tx, err := c.pgxConn.BeginTx(ctx, opts)
		return tx, c.again(ctx, err)
	}
	*f = fate{}
	results := c.Conn().PgConn().Exec(ctx, `begin; select pg_current_xact_id()`)
	for results.NextResult() {
		row := results.ResultReader()
		for row.NextRow() {
			f.id = string(row.Values()[0])
		}
		_, _ = row.Close() // the error is results'
	}
	if err := results.Close(); err != nil {
		return nil, c.again(ctx, err)
	}
	return driverTx{c, ctx, f}, nil
}

// driverTx ends a transaction and notes its fate.
type driverTx struct {
	conn
	ctx  context.Context // of BeginTx, as in pgx' own: driver.Tx has no other
	fate *fate
}

// Commit implements driver.Tx.
func (t driverTx) Commit() error {
	sent := !t.Conn().IsClosed() // pgconn.SafeToRetry says so of a lost answer, too
	tag, err := t.Conn().Exec(t.ctx, "commit")
	switch {
	case err != nil:
		t.note()
		t.fate.doubtful = t.fate.lost && sent
		t.end()
	case tag.String() == "ROLLBACK": // the transaction had failed before
		err = pgx.ErrTxCommitRollback
	}
	return err
}

// Rollback implements driver.Tx.
func (t driverTx) Rollback() error {
	t.note()
	_, err := t.Conn().Exec(t.ctx, "rollback")
	t.end()
	return err
}

func (t driverTx) note() {
	if t.fate.lost = t.isLost(t.ctx); t.fate.lost {
		t.watch.begin()
	}
}

// end makes sure that no connection goes back with its transaction open.
func (t driverTx) end() {
	if t.Conn().PgConn().TxStatus() != 'I' {
		_ = t.Conn().Close(t.ctx) // the error is told already
	}
}

// endedEarly reports that the server accepted a connection and ended it before it
// was ready. One that is down, starting or full says so otherwise.
func endedEarly(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code == "57P01" // admin_shutdown
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
