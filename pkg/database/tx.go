package database

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
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

// Later has the transaction that tx belongs to carry out a statement whose result
// nobody waits for: it is sent with the next statement, at the latest with the
// commit, which saves a round trip to the server. It takes its place in the order
// of statements, also for savepoints. If it fails, so does what it was sent with,
// with the same error, and the transaction cannot go on. The error is
// ErrNoTransaction.
func Later(tx *gorm.DB, query string, args ...any) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return ErrNoTransaction
	}
	t.pending = append(t.pending, statement{query: query, args: native(args)})
	return nil
}

// Settle has the transaction that tx belongs to carry out now what [Later] was
// given, for one who needs to know whose statement it is that fails. With nothing
// to carry out it costs nothing. Outside of a transaction it fails with
// ErrNoTransaction.
func Settle(ctx context.Context, tx *gorm.DB) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return ErrNoTransaction
	}
	_, err := t.send(ctx, nil)
	return err
}

// Row is one row of a query's answer.
type Row interface{ Scan(dest ...any) error }

// Read answers a query and calls each for every row. It goes straight to the driver,
// for queries on the path of every request: gorm and database/sql cost as much as
// pgx itself. In a transaction it is one round trip with what waits. Outside of one
// the query must only read: it is sent again when a connection is found lost.
func Read(ctx context.Context, tx *gorm.DB, each func(Row) error, query string, args ...any) error {
	s := &statement{query: query, args: native(args), each: each}
	switch pool := tx.Statement.ConnPool.(type) {
	case *transaction:
		_, err := pool.send(ctx, s)
		return err
	case *connPool:
		return pool.supply.read(ctx, s)
	default:
		return gorm.ErrInvalidDB
	}
}

// native spells ids as pgx takes them; as they are they would go by way of their
// text.
func native(args []any) []any {
	for i, arg := range args {
		if id, ok := arg.(uuid.UUID); ok {
			args[i] = pgtype.UUID{Bytes: id, Valid: true}
		}
	}
	return args
}

// connPool is a *sql.DB with transactions of our own.
type connPool struct {
	*sql.DB
	supply *supply
}

var _ interface {
	gorm.ConnPool
	gorm.ConnPoolBeginner
	gorm.GetDBConnector
} = (*connPool)(nil)

// BeginTx implements gorm.ConnPoolBeginner. It takes a connection, and sends
// nothing yet: the transaction begins with its first statement.
func (p *connPool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	t := &transaction{ctx: ctx, pool: p, pending: []statement{{query: beginning(opts)}, {query: numbering}}}
	if err := t.take(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// GetDBConn implements gorm.GetDBConnector.
func (p *connPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }
