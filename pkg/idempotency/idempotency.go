// Package idempotency answers a repeated request as it was answered first: the same
// caller with the same Idempotency-Key and the same request gets what the first one
// made, also if its answer was lost or its outcome unknown
// (draft-ietf-httpapi-idempotency-key-header).
//
// A create takes the key in its own transaction, so that key and resource are there
// both or neither:
//
//	r := idempotency.NewRequest(ctx, canonicalBody)
//	err := database.Transaction(ctx, db, func(tx *gorm.DB) error {
//		made, err := r.Take(tx, user.ID)
//		if err != nil || made != user.ID {
//			return err // made is what the first request made
//		}
//		return models.InsertUser(tx, &user)
//	})
//
// httpserver.Idempotent puts the key of a request into its context.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/fault"
)

// ErrKeyReused: the key came with another request before, so one of the two would be
// lost.
var ErrKeyReused = fault.New(fault.Unprocessable, "idempotency_key_reused", "Idempotency-Key was used for another request")

//go:embed migrations/*.sql
var migrations embed.FS

// Schema returns the table of this package.
func Schema() database.Schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return database.Schema{Table: "idempotency_version", Files: files}
}

// Key makes a repeated request recognisable. Callers cannot see each other's keys.
type Key struct {
	Caller string // the service that called
	Value  string // the request's Idempotency-Key
}

type contextKey struct{}

// WithKey returns the context of a request with a key.
func WithKey(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, contextKey{}, k)
}

// Request is a request to make something, with the key of its context. Without a key
// every Request is a new one. It is immutable.
type Request struct {
	key  Key
	hash []byte
}

// NewRequest returns the request of ctx. body is what is asked for, in one spelling
// for requests that mean the same.
func NewRequest(ctx context.Context, body string) Request {
	key, _ := ctx.Value(contextKey{}).(Key)
	hash := sha256.Sum256([]byte(body))
	return Request{key, hash[:]}
}

// Made returns the id of what an earlier request with the key made, uuid.Nil if there
// was none. It fails with ErrKeyReused if that was another request.
func (r Request) Made(tx *gorm.DB) (uuid.UUID, error) {
	if r.key == (Key{}) {
		return uuid.Nil, nil
	}
	var kept row
	err := tx.Take(&kept, "caller = ? AND key = ?", r.key.Caller, r.key.Value).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return uuid.Nil, nil
	case err != nil:
		return uuid.Nil, fmt.Errorf("find idempotency key: %w", err)
	case !bytes.Equal(kept.RequestHash, r.hash):
		return uuid.Nil, ErrKeyReused
	}
	return kept.ResourceID, nil
}

// Take has the key stand for id, in the transaction that makes it, and returns id.
// If it stands for something already, it returns that. While another transaction
// takes the same key, it waits for that one's end. It fails with ErrKeyReused if the
// key came with another request.
func (r Request) Take(tx *gorm.DB, id uuid.UUID) (uuid.UUID, error) {
	if r.key == (Key{}) {
		return id, nil
	}
	taken := tx.Exec(`
INSERT INTO idempotency_keys (caller, key, request_hash, resource_id, created_at) VALUES (?, ?, ?, ?, now()) ON CONFLICT DO NOTHING`,
		r.key.Caller, r.key.Value, r.hash, id)
	switch {
	case taken.Error != nil:
		return uuid.Nil, fmt.Errorf("take idempotency key: %w", taken.Error)
	case taken.RowsAffected == 1:
		return id, nil
	}
	return r.Made(tx)
}

// row is a row of idempotency_keys.
type row struct {
	RequestHash []byte
	ResourceID  uuid.UUID
}

// TableName implements schema.Tabler.
func (row) TableName() string { return "idempotency_keys" }
