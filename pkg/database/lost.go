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
	pool *renewal
}

// renewal makes the idle connections of a pool anew, once for a loss that
// strikes several of them: when one is lost, others likely went the same way.
type renewal struct {
	*pgxpool.Pool
	last atomic.Int64 // Unix time in ns
}

const renewalPause = 100 * time.Millisecond

func (r *renewal) renew() {
	now, last := time.Now().UnixNano(), r.last.Load()
	if now-last > int64(renewalPause) && r.last.CompareAndSwap(last, now) {
		r.Reset()
	}
}

// isLost reports whether the server's end of the connection is gone. A caller
// who leaves closes connections too, and then nobody waits for an answer.
func (c conn) isLost(ctx context.Context) bool { return c.Conn().IsClosed() && ctx.Err() == nil }

// QueryContext implements driver.QueryerContext.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	idle := c.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.pgxConn.QueryContext(ctx, query, args)
	if err != nil && idle && c.isLost(ctx) && strings.HasPrefix(strings.TrimSpace(query), "SELECT ") {
		c.pool.renew()
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return rows, err
}
