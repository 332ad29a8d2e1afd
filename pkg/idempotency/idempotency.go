// Package idempotency makes a repeated request safe: the same caller with the same
// Idempotency-Key and the same request to the same route gets what the first request made,
// also if its answer was lost or its outcome is unknown
// (draft-ietf-httpapi-idempotency-key-header).
//
// A service creates a resource through [Once], which stores the key in the transaction
// of the resource, so that both exist or neither:
//
//	made, err := idempotency.Once(ctx, db, request, user.ID, func(tx *gorm.DB) error {
//		return models.InsertUser(tx, &user)
//	})
//
// and its route runs httpserver.Idempotent, which puts the request's key into its
// context. Without a key every request is a new one.
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

// ErrKeyReused is the error of a key that was used for another request.
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

// Key identifies a request and its repetitions.
type Key struct {
	Scope Scope
	Value string // the request's Idempotency-Key
	// OnReplay is called when the key was used before; nil for nothing.
	OnReplay func()
}

// Scope is who uses a key and for what. Equal keys in different scopes are different keys.
type Scope struct {
	Caller string // the service that called, or the person
	Route  string // method and path template, as in "POST /orders"
}

// String returns the scope as it is stored.
func (s Scope) String() string { return s.Caller + " " + s.Route }

type contextKey struct{}

// WithKey returns the context of a request with a key.
func WithKey(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, contextKey{}, k)
}

// Find returns the id of what an earlier request with the key of ctx made, uuid.Nil if
// there was none. request is the content of the request, in one spelling for requests that
// mean the same; the error is ErrKeyReused if the earlier one differs. Use it before work
// that a repetition should not do; [Once] looks again.
func Find(ctx context.Context, db *gorm.DB, request string) (uuid.UUID, error) {
	key, ok := ctx.Value(contextKey{}).(Key)
	if !ok {
		return uuid.Nil, nil
	}
	id, err := find(db.WithContext(ctx), key, hash(request))
	if err == nil && id != uuid.Nil {
		key.replayed()
	}
	return id, err
}

// Once runs create, which makes the resource id, in a [database.Transaction] together
// with the key of ctx, and returns id. If an earlier request with the key made a resource,
// it returns that one's id and does not run create; while another transaction holds the
// key, it waits for that one's end. The error is ErrKeyReused if the earlier request
// differs from this one; see [Find].
func Once(
	ctx context.Context, db *gorm.DB, request string, id uuid.UUID, create func(tx *gorm.DB) error,
) (made uuid.UUID, err error) {
	key, ok := ctx.Value(contextKey{}).(Key)
	err = database.Transaction(ctx, db, func(tx *gorm.DB) error {
		made = id
		if ok {
			if made, err = claim(tx, key, hash(request), id); err != nil || made != id {
				return err
			}
		}
		return create(tx)
	})
	if err != nil {
		return uuid.Nil, err
	}
	if made != id {
		key.replayed()
	}
	return made, nil
}

// Erase deletes, in the transaction tx, the hash of the request that made the resource id:
// who has the hash can confirm a guess of what the request contained. The key stays, so
// that a repetition does not make the resource again; any request with it gets id.
func Erase(tx *gorm.DB, id uuid.UUID) error {
	if err := tx.Exec(`UPDATE idempotency_keys SET request_hash = '' WHERE resource_id = ?`, id).Error; err != nil {
		return fmt.Errorf("erase request hash: %w", err)
	}
	return nil
}

func (k Key) replayed() {
	if k.OnReplay != nil {
		k.OnReplay()
	}
}

func hash(request string) []byte {
	sum := sha256.Sum256([]byte(request))
	return sum[:]
}

// claim stores key for id, or returns the id that it was stored for before.
func claim(tx *gorm.DB, key Key, hash []byte, id uuid.UUID) (uuid.UUID, error) {
	result := tx.Exec(`
INSERT INTO idempotency_keys (caller, key, request_hash, resource_id)
SELECT @scope, @key, CAST(@hash AS bytea), CAST(@id AS uuid)
WHERE NOT EXISTS (SELECT FROM idempotency_keys WHERE caller = @caller AND key = @key)
ON CONFLICT DO NOTHING`, map[string]any{
		"scope": key.Scope.String(), "caller": key.Scope.Caller, "key": key.Value, "hash": hash, "id": id,
	})
	switch {
	case result.Error != nil:
		return uuid.Nil, fmt.Errorf("insert idempotency key: %w", result.Error)
	case result.RowsAffected == 1:
		return id, nil
	}
	return find(tx, key, hash)
}

// find also finds a key that was stored before keys had a route, under the caller alone.
func find(tx *gorm.DB, key Key, hash []byte) (uuid.UUID, error) {
	var kept row
	err := tx.Take(&kept, "caller IN ? AND key = ?", []string{key.Scope.String(), key.Scope.Caller}, key.Value).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return uuid.Nil, nil
	case err != nil:
		return uuid.Nil, fmt.Errorf("find idempotency key: %w", err)
	case len(kept.RequestHash) > 0 && !bytes.Equal(kept.RequestHash, hash):
		return uuid.Nil, ErrKeyReused
	}
	return kept.ResourceID, nil
}

// row is a row of idempotency_keys, found by its scope (in the column caller) and its key.
type row struct {
	RequestHash []byte
	ResourceID  uuid.UUID
}

// TableName implements schema.Tabler.
func (row) TableName() string { return "idempotency_keys" }
