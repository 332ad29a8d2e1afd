package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/fault"
)

var (
	// ErrBusy: every connection is taken, or a statement waited too long for a lock
	// or took too long. Trying again later may succeed.
	ErrBusy = fault.New(fault.Unavailable, fault.CodeDatabaseBusy, "Service is busy, try again").WithRetryAfter(time.Second)
	// ErrUnavailable: the server cannot be reached, is stopping, only reads, or has
	// no room. Nothing was done.
	ErrUnavailable = fault.New(fault.Unavailable, "database_unavailable",
		"The database is not available, try again").WithRetryAfter(time.Second)
	// ErrOutcomeUnknown: the connection was lost while the commit was under way. The
	// transaction took place or it did not. The server cannot say later: after a crash
	// it, or its standby, may give the transaction's number out again.
	// Repeating the request with the same Idempotency-Key settles it.
	ErrOutcomeUnknown = fault.New(fault.Unavailable, "outcome_unknown",
		"The connection to the database was lost, and it is not known whether the change was made").WithRetryAfter(time.Second)
	// ErrNoTransaction is returned by what must run inside a transaction and was
	// called outside of one.
	ErrNoTransaction = errors.New("database: not in a transaction")
)

// errLost marks the error of a statement whose connection was lost. If it was in a
// transaction, nothing has happened.
var errLost = errors.New("connection lost")

// codeOf returns Postgres' code (SQLSTATE) of an error, "" for none.
func codeOf(err error) string {
	if p, ok := errors.AsType[*pgconn.PgError](err); ok {
		return p.Code
	}
	return ""
}

// isStaleStatement reports whether a prepared statement outlived a change of its
// tables (0A000). It happens once per statement and connection.
func isStaleStatement(err error) bool {
	p, ok := errors.AsType[*pgconn.PgError](err)
	return ok && p.Code == "0A000" && strings.Contains(p.Message, "cached plan")
}

// isUndone reports whether a transaction that ended with err has done nothing and
// may succeed at once on another connection, or a moment later: 40001
// serialization_failure, 40P01 deadlock_detected, 25006 a server that only reads.
func isUndone(err error) bool {
	if errors.Is(err, ErrOutcomeUnknown) {
		return false
	}
	return slices.Contains([]string{"40001", "40P01", "25006"}, codeOf(err)) || isStaleStatement(err) ||
		errors.Is(err, errLost) || isNetwork(err)
}

// IsRetryable reports whether an error says nothing about what was to be done: what
// failed with it may succeed when it is done again. Besides those after which
// [Transaction] repeats, these are 55P03 lock_not_available and class 57, a server
// that cancels statements or stops.
func IsRetryable(err error) bool {
	code := codeOf(err)
	return isUndone(err) || errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) ||
		code == "55P03" || strings.HasPrefix(code, "57")
}

// IsForeignKey reports whether an error is the violation of a foreign key.
func IsForeignKey(err error) bool {
	return errors.Is(err, gorm.ErrForeignKeyViolated) || codeOf(err) == "23503"
}

// isNetwork reports whether an error is one of the connection itself.
func isNetwork(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, isNet := errors.AsType[*net.OpError](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// dialector is gorm's for Postgres, and translates errors.
type dialector struct{ *postgres.Dialector }

// Translate implements gorm.ErrorTranslator.
func (d dialector) Translate(err error) error {
	err = Translate(err)
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return d.Dialector.Translate(err)
}

// Translate returns [ErrBusy] or [ErrUnavailable], with err as cause, for an error that
// means that, and any other error as it is. Errors of gorm are translated already.
func Translate(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	switch code := codeOf(err); {
	case code == "57014" || code == "55P03" || code == "40001" || code == "40P01" || isStaleStatement(err):
		return ErrBusy.With(err)
	case code == "25006", strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "08"),
		isNetwork(err):
		return ErrUnavailable.With(err)
	}
	return err
}

// hasEnded reports whether Postgres' answer to COMMIT says for certain that the
// transaction was rolled back: a deferred constraint or trigger failed, or it lost
// against another.
func hasEnded(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	return rolledBack.MatchString(codeOf(err))
}

var rolledBack = regexp.MustCompile(`^(22|23|25|40|42|44|P0)`)

// lost returns err as one of a connection that was lost.
func lost(err error) error { return ErrUnavailable.With(fmt.Errorf("%w: %w", errLost, err)) }
