package database

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// repeats is how often at most Transaction begins again.
const repeats = 2

// Transaction runs f in a transaction: committed if f returns nil, rolled back if it
// returns an error or panics. If the transaction was undone for a reason that is not
// f's (its connection was lost before the commit, it lost against another, the
// server only reads), f runs again, at most twice: f must not do what cannot be done
// again, other than through tx. Inside a transaction it is a savepoint, and is not
// repeated.
//
// A connection that is lost during the commit is ErrOutcomeUnknown; nothing is
// repeated then. Statements wait at most 3 s for a lock and take at most 15 s; a
// transaction without a statement for 10 s is ended by the server.
func Transaction(ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) error) error {
	db = db.WithContext(ctx)
	if _, nested := db.Statement.ConnPool.(*transaction); nested {
		return db.Transaction(f)
	}
	for n := 0; ; n++ {
		err := db.Transaction(f)
		if err == nil || n == repeats || ctx.Err() != nil || !isUndone(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(repeatWait << n)):
		}
	}
}

// repeatWait is the longest wait before the first repetition.
const repeatWait = 20 * time.Millisecond

// AfterCommit has f called once, after the transaction that tx belongs to has
// committed, or may have; never when it is rolled back. f runs on the goroutine that
// commits and must not block. Inside a nested transaction (a savepoint) f waits for
// the outermost commit, and runs even if the savepoint is rolled back, so f may only
// be a hint. The error is ErrNoTransaction.
func AfterCommit(tx *gorm.DB, f func()) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return ErrNoTransaction
	}
	t.after = append(t.after, f)
	return nil
}

// connPool is a *sql.DB whose transactions know what to do after their commit.
type connPool struct{ *sql.DB }

var _ interface {
	gorm.ConnPool
	gorm.ConnPoolBeginner
	gorm.GetDBConnector
} = (*connPool)(nil)

// BeginTx implements gorm.ConnPoolBeginner.
func (p *connPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: tx, ctx: ctx}, nil
}

// GetDBConn implements gorm.GetDBConnector.
func (p *connPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// transaction is a *sql.Tx. Like that it serves one goroutine at a time.
type transaction struct {
	*sql.Tx
	ctx   context.Context // that it ends with
	after []func()
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	err := t.Tx.Commit()
	if errors.Is(err, sql.ErrTxDone) && t.ctx.Err() != nil { // rolled back when the caller left
		return t.ctx.Err()
	}
	if err == nil || errors.Is(err, ErrOutcomeUnknown) {
		for _, f := range t.after {
			f()
		}
	}
	return err
}
