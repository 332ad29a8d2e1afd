package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// rollbackTime bounds the end of a transaction that has failed; its own context may
// be what ended it.
const rollbackTime = 5 * time.Second

// numbering has the server tell its number of the transaction, by which it can be
// asked later what became of it.
const numbering = "select pg_current_xact_id()::text"

// transaction is one on a connection of its own. What need not be answered at once
// waits and goes out with what follows, in one round trip: BEGIN with the first
// statement, and what [Later] was given with the next. Like *sql.Tx it serves one
// goroutine at a time.
type transaction struct {
	ctx     context.Context // of the commit, for which gorm gives none
	pool    *connPool
	conn    *sql.Conn
	over    bool
	pending []statement
	err     error // why nothing more is sent
	after   []func()
	reading []context.CancelFunc // ends queries whose rows nobody closed

	id       string // Postgres' own number of the transaction, "" until it has begun
	left     bool   // the caller of a statement went away, which closes the connection too
	lost     bool   // the connection ended before the answer
	doubtful bool   // and the server may have got the COMMIT
}

type statement struct {
	query string
	args  []any
	each  func(Row) error // of the rows it gives; nil for none
}

var _ interface {
	gorm.ConnPool
	gorm.TxCommitter
} = (*transaction)(nil)

// beginning spells BEGIN with options.
func beginning(opts *sql.TxOptions) string {
	var b strings.Builder
	b.WriteString("begin")
	if opts != nil && opts.Isolation != sql.LevelDefault {
		b.WriteString(" isolation level " + opts.Isolation.String())
	}
	if opts != nil && opts.ReadOnly {
		b.WriteString(" read only")
	}
	return b.String()
}

// take takes a connection.
func (t *transaction) take(ctx context.Context) error {
	var err error
	t.conn, err = t.pool.DB.Conn(ctx)
	return err
}

// raw lends the driver's connection, unless database/sql has given it up.
func (t *transaction) raw(f func(conn) error) error {
	return t.conn.Raw(func(c any) error { return f(c.(conn)) })
}

// ExecContext implements gorm.ConnPool.
func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tag, err := t.send(ctx, &statement{query: query, args: args})
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

// QueryContext implements gorm.ConnPool.
func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if _, err := t.send(ctx, nil); err != nil {
		return nil, err
	}
	rows, err := t.conn.QueryContext(t.readable(ctx), query, args...)
	return rows, t.noted(ctx, err)
}

// QueryRowContext implements gorm.ConnPool.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if _, err := t.send(ctx, nil); err != nil {
		return failedRow(ctx, t.pool.DB, err)
	}
	row := t.conn.QueryRowContext(t.readable(ctx), query, args...)
	_ = t.noted(ctx, row.Err())
	return row
}

// PrepareContext implements gorm.ConnPool.
func (t *transaction) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if _, err := t.send(ctx, nil); err != nil {
		return nil, err
	}
	stmt, err := t.conn.PrepareContext(ctx, query)
	return stmt, t.noted(ctx, err)
}

// readable is the context of a query that ends with the transaction at the latest.
func (t *transaction) readable(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	t.reading = append(t.reading, cancel)
	return ctx
}

// noted takes note of a caller who went away.
func (t *transaction) noted(ctx context.Context, err error) error {
	t.left = t.left || (err != nil && ctx.Err() != nil)
	return err
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	if t.id == "" { // without its number its fate could not be asked for
		if _, err := t.send(t.ctx, nil); err != nil {
			_ = t.Rollback() // says no more
			return err
		}
	}
	sent := !t.isClosed()
	tag, err := t.send(t.ctx, &statement{query: "commit"})
	if err != nil {
		over := t.over
		_ = t.Rollback() // the first error says it all
		if t.doubtful = t.lost && sent && !over; !t.doubtful {
			return err
		}
		if err = t.settle(err); err != nil {
			return err
		}
	} else if err := t.release(); err != nil {
		return err
	} else if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback // a statement had failed, and nobody cared
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// Rollback implements gorm.TxCommitter. After the end of the transaction it does
// nothing but say so.
func (t *transaction) Rollback() error {
	if t.over {
		return sql.ErrTxDone
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTime)
	defer cancel()
	if t.lost = t.isLost(); t.lost {
		t.pool.supply.lost()
		return t.release()
	}
	err := t.raw(func(c conn) error {
		if c.Conn().IsClosed() || c.Conn().PgConn().TxStatus() == 'I' {
			return nil // somebody left, or the server has ended it, or never began
		}
		_, err := c.Conn().Exec(ctx, "rollback")
		return err
	})
	return errors.Join(err, t.release())
}

// isClosed reports whether the connection is of no use any more.
func (t *transaction) isClosed() bool {
	closed := true
	_ = t.raw(func(c conn) error {
		closed = c.Conn().IsClosed()
		return nil
	})
	return closed
}

// isLost reports whether the server's end of the connection is gone, without
// anybody having gone away here.
func (t *transaction) isLost() bool { return !t.left && t.ctx.Err() == nil && t.isClosed() }

// release gives the connection back. The pool drops one that is still in a
// transaction.
func (t *transaction) release() error {
	t.over = true
	for _, cancel := range t.reading {
		cancel()
	}
	if err := t.conn.Close(); !errors.Is(err, sql.ErrConnDone) { // given up when it was lost
		return err
	}
	return nil
}

// send carries out what waits and then last, which may be nil, in one round trip.
// A connection that is found lost before the transaction has begun is of no
// consequence: it begins on another.
func (t *transaction) send(ctx context.Context, last *statement) (tag pgconn.CommandTag, err error) {
	switch {
	case t.over:
		return tag, sql.ErrTxDone
	case t.err != nil:
		return tag, t.err
	case last == nil && len(t.pending) == 0:
		return tag, nil
	}
	for n := 1; ; n++ {
		err = t.raw(func(c conn) error {
			tag, err = t.sendOn(ctx, c.Conn(), last)
			return err
		})
		if t.noted(ctx, err) == nil || t.id != "" || n == tries || !t.isLost() {
			return tag, err
		}
		t.pool.supply.lost()
		_ = t.conn.Close()
		if err := t.take(ctx); err != nil {
			t.over = true
			return tag, err
		}
		t.err = nil
	}
}

// sendOn sends several statements at once. When one that had waited fails, the
// transaction cannot go on.
func (t *transaction) sendOn(ctx context.Context, c *pgx.Conn, last *statement) (tag pgconn.CommandTag, err error) {
	if len(t.pending) == 0 && last.each == nil {
		return c.Exec(ctx, last.query, last.args...)
	}
	var batch pgx.Batch
	for _, s := range t.pending {
		batch.Queue(s.query, s.args...)
	}
	if last != nil {
		batch.Queue(last.query, last.args...)
	}
	results := c.SendBatch(ctx, &batch)
	for _, s := range t.pending {
		if t.err = t.answer(results, s); t.err != nil {
			_ = results.Close() // says the same
			return tag, t.err
		}
	}
	t.pending = nil
	if last != nil {
		if tag, err = last.result(results); err != nil {
			_ = results.Close()
			return tag, err
		}
	}
	return tag, results.Close()
}

// answer takes the answer to a statement that had waited.
func (t *transaction) answer(results pgx.BatchResults, s statement) error {
	if s.query == numbering {
		return results.QueryRow().Scan(&t.id)
	}
	_, err := results.Exec()
	return err
}

// result takes what the statement gave.
func (s *statement) result(results pgx.BatchResults) (tag pgconn.CommandTag, err error) {
	if s.each == nil {
		return results.Exec()
	}
	rows, err := results.Query()
	if err != nil {
		return tag, err
	}
	return tag, s.collect(rows)
}

// collect reads rows to their end.
func (s *statement) collect(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		if err := s.each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// failedRow is a row that cannot be read; only database/sql can make one.
func failedRow(ctx context.Context, db *sql.DB, cause error) *sql.Row {
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	return db.QueryRowContext(ctx, "")
}
