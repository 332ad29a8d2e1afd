package database

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"
)

// ErrNoTransaction is returned by what must run inside a transaction and was
// called outside of one.
var ErrNoTransaction = errors.New("database: not in a transaction")

// AfterCommit has f called once, after the transaction that tx belongs to has
// committed; never when it is rolled back. f runs on the goroutine that
// commits and must not block. Inside a nested transaction (a savepoint) f waits
// for the outermost commit, and runs even if the savepoint is rolled back, so f
// may only be a hint. The error is ErrNoTransaction.
func AfterCommit(tx *gorm.DB, f func()) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return ErrNoTransaction
	}
	t.after = append(t.after, f)
	return nil
}

// connPool is a *sql.DB whose transactions know what to do after they commit.
type connPool struct{ *sql.DB }

var _ interface {
	gorm.ConnPool
	gorm.ConnPoolBeginner
	gorm.GetDBConnector
} = (*connPool)(nil)

// BeginTx implements gorm.ConnPoolBeginner.
func (p *connPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	t := &transaction{ctx: ctx, pool: p}
	var err error
	if t.Tx, err = p.DB.BeginTx(context.WithValue(ctx, fateKey{}, &t.fate), opts); err != nil {
		return nil, err
	}
	return t, nil
}

// GetDBConn implements gorm.GetDBConnector.
func (p *connPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// transaction is a *sql.Tx with functions to call after the commit, and with an
// exact answer to it. Like *sql.Tx it serves one goroutine at a time.
type transaction struct {
	*sql.Tx
	ctx   context.Context // that it began with
	pool  *connPool
	fate  fate
	after []func()
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	err := t.Tx.Commit()
	if err != nil && t.fate.doubtful {
		err = t.pool.settle(t.ctx, &t.fate, err)
	}
	if err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}
