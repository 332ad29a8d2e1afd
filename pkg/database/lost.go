package database

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

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

// supply gives connections of a pool, and waits at most wait for one.
type supply struct {
	pool    *pgxpool.Pool
	wait    time.Duration
	renewed atomic.Int64 // Unix time in ns
}

func (s *supply) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	conn, err := s.pool.Acquire(limited)
	return conn, refusal(ctx, err)
}

const renewalPause = 100 * time.Millisecond

// renew makes the idle connections anew, once for a loss that strikes several of
// them: when one is lost, others likely went the same way.
func (s *supply) renew() {
	now, last := time.Now().UnixNano(), s.renewed.Load()
	if now-last > int64(renewalPause) && s.renewed.CompareAndSwap(last, now) {
		s.pool.Reset()
	}
}

// read answers a query outside of a transaction: over again if the connection is
// lost before the first row.
func (s *supply) read(ctx context.Context, query *statement) error {
	for n := 1; ; n++ {
		lost, err := s.readOnce(ctx, query)
		if !lost || n == tries {
			return err
		}
		s.renew()
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
		c.supply.renew()
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return rows, err
}
