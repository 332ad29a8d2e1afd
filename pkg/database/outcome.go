package database

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/fault"
)

// ErrOutcomeUnknown is returned by a commit whose connection was lost, when the
// server could not be asked either: the transaction took place or it did not.
var ErrOutcomeUnknown = fault.New(fault.Unavailable, "outcome_unknown",
	"The connection to the database was lost, and it is not known whether the change was made")

// tries is how often Transaction begins at most.
const tries = 5

// Transaction runs f in a transaction: committed if f returns nil, rolled back
// if it returns an error or panics. When the connection is lost before the
// commit, nothing has happened, and f is run again on another connection, at
// most five times in all: f must not do what cannot be done twice, other than
// through tx. Inside a transaction it is a savepoint, and is not repeated.
//
// A connection that is lost during the commit leaves its outcome open. Then the
// server is asked (pg_xact_status), and the answer is as exact as ever, except
// for ErrOutcomeUnknown if it can't be asked.
func Transaction(ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) error) error {
	db = db.WithContext(ctx)
	for n := 1; ; n++ {
		var t *transaction
		err := db.Transaction(func(tx *gorm.DB) error {
			if _, nested := db.Statement.ConnPool.(*transaction); !nested {
				t, _ = tx.Statement.ConnPool.(*transaction)
			}
			return f(tx)
		})
		if err == nil || n == tries || ctx.Err() != nil || !t.undone() {
			return err
		}
	}
}

// undone reports whether a transaction was lost without effect.
func (t *transaction) undone() bool { return t != nil && t.lost && !t.doubtful }

// How long, and how often at first and later, the server is asked.
const (
	askTime = 5 * time.Second
	askMin  = 2 * time.Millisecond
	askMax  = 200 * time.Millisecond
)

// settle finds out what became of a commit that was not answered because of
// cause.
func (t *transaction) settle(cause error) error {
	bounded, cancel := context.WithTimeout(t.ctx, askTime)
	defer cancel()
	for wait := askMin; ; wait = min(2*wait, askMax) {
		status, err := t.pool.status(bounded, t.id)
		switch status {
		case "committed":
			return nil
		case "aborted":
			t.doubtful = false
			return cause
		case "forgotten":
			return ErrOutcomeUnknown.With(cause)
		}
		select {
		case <-bounded.Done():
			return ErrOutcomeUnknown.With(errors.Join(cause, err))
		case <-time.After(wait):
		}
	}
}

// status gives Postgres' answer about a transaction: "in progress", "committed"
// or "aborted"; "forgotten" if it is too long ago.
func (p *connPool) status(ctx context.Context, id string) (string, error) {
	var status sql.NullString
	err := p.QueryRowContext(ctx, `SELECT pg_xact_status($1::text::xid8)`, id).Scan(&status)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "22023":
		return "aborted", nil // "in the future": a crash came before it was written down
	case err != nil:
		return "", err
	case !status.Valid:
		return "forgotten", nil
	}
	return status.String, nil
}

// IsRetryable is a stand-in until the branch with the real one is merged.
func IsRetryable(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && (p.Code[:2] == "40" || p.Code == "55P03" || p.Code[:2] == "57" || p.Code == "23503x")
}

// IsForeignKey reports whether an error is the violation of a foreign key.
func IsForeignKey(err error) bool {
	var p *pgconn.PgError
	return errors.Is(err, gorm.ErrForeignKeyViolated) || errors.As(err, &p) && p.Code == "23503"
}
