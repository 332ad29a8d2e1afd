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

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

type pgxConn = stdlib.Conn

// conn is a connection of the pool that tells when it is lost. A SELECT outside
// of a transaction is then done over again on another: database/sql does so for
// driver.ErrBadConn.
type conn struct {
	*pgxConn
	supply *supply
}

// supply gives connections of a pool, and waits at most wait for one. When one was
// lost, others have likely gone the same way: for a while then, every connection is
// asked for a sign of life before it is used.
type supply struct {
	pool  *pgxpool.Pool
	wait  time.Duration
	doubt atomic.Int64 // until when; Unix time in ns
}

const doubtTime = time.Second

// lost tells that a connection was.
func (s *supply) lost() { s.doubt.Store(time.Now().Add(doubtTime).UnixNano()) }

// shouldPing is for the pool, which itself asks what was idle for a second.
func (s *supply) shouldPing(_ context.Context, p pgxpool.ShouldPingParams) bool {
	return p.IdleDuration > time.Second || time.Now().UnixNano() < s.doubt.Load()
}

func (s *supply) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	return take(ctx, s.wait, s.pool.Acquire)
}

// take waits at most wait for a connection, and takes another for one that the
// server ends while it is made.
func take[C any](ctx context.Context, wait time.Duration, f func(context.Context) (C, error)) (C, error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	taken, err := f(limited)
	for n := 1; n < tries && endedEarly(err) && limited.Err() == nil; n++ {
		taken, err = f(limited)
	}
	switch {
	case err == nil:
		return taken, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return taken, ctx.Err() // the caller left; nobody was refused
	default:
		return taken, ErrBusy.With(err)
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

// read answers a query outside of a transaction: over again if the connection is
// lost before the first row.
func (s *supply) read(ctx context.Context, query *statement) error {
	for n := 1; ; n++ {
		lost, err := s.readOnce(ctx, query)
		if !lost || n == tries {
			return err
		}
		s.lost()
	}
}

func (s *supply) readOnce(ctx context.Context, query *statement) (lost bool, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	began := false
	q := statement{each: func(row Row) error {
		began = true
		return query.each(row)
	}}
	rows, err := conn.Query(ctx, query.query, query.args...)
	if err == nil {
		err = q.collect(rows)
	}
	return err != nil && !began && ctx.Err() == nil && conn.Conn().IsClosed(), err
}

// isLost reports whether the server's end of the connection is gone. A caller
// who leaves closes connections too, and then nobody waits for an answer.
func (c conn) isLost(ctx context.Context) bool { return c.Conn().IsClosed() && ctx.Err() == nil }

// QueryContext implements driver.QueryerContext.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	idle := c.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.pgxConn.QueryContext(ctx, query, args)
	if err != nil && idle && c.isLost(ctx) && strings.HasPrefix(strings.TrimSpace(query), "SELECT ") {
		c.supply.lost()
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return rows, err
}
