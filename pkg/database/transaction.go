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
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// rollbackTime bounds the end of a transaction that has failed; its own context may
// be what ended it.
const rollbackTime = 5 * time.Second

// transaction is one on a connection of its own. What need not be answered at once
// waits and goes out with what follows, in one round trip: BEGIN with the first
// statement, and what [Later] was given with the next. Like *sql.Tx it serves one
// goroutine at a time.
type transaction struct {
	ctx     context.Context // of the commit, for which gorm gives none
	conn    *sql.Conn
	over    bool
	pending []statement
	err     error // why nothing more is sent
	after   []func()
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
	return t.conn.QueryContext(ctx, query, args...)
}

// QueryRowContext implements gorm.ConnPool.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if _, err := t.send(ctx, nil); err != nil {
		return failedRow(ctx, t.conn, err)
	}
	return t.conn.QueryRowContext(ctx, query, args...)
}

// PrepareContext implements gorm.ConnPool.
func (t *transaction) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if _, err := t.send(ctx, nil); err != nil {
		return nil, err
	}
	return t.conn.PrepareContext(ctx, query)
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	tag, err := t.send(t.ctx, &statement{query: "commit"})
	if err != nil {
		_ = t.Rollback() // whatever becomes of it, nothing was committed
		return err
	}
	if err := t.release(); err != nil {
		return err
	}
	if tag.String() == "ROLLBACK" {
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
	err := t.raw(func(conn *pgx.Conn) error {
		if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
			return nil // the server has ended it, or never began
		}
		_, err := conn.Exec(ctx, "rollback")
		return err
	})
	return errors.Join(err, t.release())
}

// release gives the connection back. The pool drops one that is still in a
// transaction.
func (t *transaction) release() error {
	t.over = true
	return t.conn.Close()
}

// send carries out what waits and then last, which may be nil, in one round trip.
func (t *transaction) send(ctx context.Context, last *statement) (tag pgconn.CommandTag, err error) {
	switch {
	case t.over:
		return tag, sql.ErrTxDone
	case t.err != nil:
		return tag, t.err
	case last == nil && len(t.pending) == 0:
		return tag, nil
	}
	err = t.raw(func(conn *pgx.Conn) error {
		if len(t.pending) == 0 && last.each == nil {
			tag, err = conn.Exec(ctx, last.query, last.args...)
			return err
		}
		tag, err = t.sendAll(ctx, conn, last)
		return err
	})
	return tag, err
}

// sendAll sends several statements at once. When one that had waited fails, the
// transaction cannot go on.
func (t *transaction) sendAll(ctx context.Context, conn *pgx.Conn, last *statement) (tag pgconn.CommandTag, err error) {
	var batch pgx.Batch
	for _, s := range t.pending {
		batch.Queue(s.query, s.args...)
	}
	if last != nil {
		batch.Queue(last.query, last.args...)
	}
	results := conn.SendBatch(ctx, &batch)
	for range t.pending {
		if _, t.err = results.Exec(); t.err != nil {
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

// raw lends the driver's own connection.
func (t *transaction) raw(f func(*pgx.Conn) error) error {
	return t.conn.Raw(func(c any) error { return f(c.(*stdlib.Conn).Conn()) })
}

// failedRow is a row that cannot be read; only database/sql can make one.
func failedRow(ctx context.Context, conn *sql.Conn, cause error) *sql.Row {
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	return conn.QueryRowContext(ctx, "")
}
