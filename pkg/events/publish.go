package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/tracing"
)

// Errors of Publish that are mistakes in the program.
var (
	// ErrNoTransaction: tx is not inside a transaction, so the event could
	// outlive or miss the change it tells of.
	ErrNoTransaction = database.ErrNoTransaction
	// ErrNoOutbox: the database has no Outbox (gorm's db.Use).
	ErrNoOutbox = errors.New("events: database has no outbox")
	// ErrForeignType: the type belongs to another service.
	ErrForeignType = errors.New("events: type is published by another service")
	// ErrTooLarge: the event is over MaxEnvelope.
	ErrTooLarge = errors.New("events: event is too large")
)

const pluginName = "troika:events"

// Outbox makes a database one that a service can publish from. Install it with
// gorm's Use. It is safe for concurrent use.
type Outbox struct {
	service    string
	partitions int
	logDays    int
	streamCap  int64
	wake       chan struct{}
}

// NewOutbox makes the outbox of a service.
func NewOutbox(service string, cfg Config) *Outbox {
	return &Outbox{
		service: service, partitions: cfg.Partitions, logDays: cfg.LogDays, streamCap: cfg.StreamCap,
		wake: make(chan struct{}, 1),
	}
}

// Name implements gorm.Plugin.
func (o *Outbox) Name() string { return pluginName }

// Initialize implements gorm.Plugin.
func (o *Outbox) Initialize(*gorm.DB) error { return nil }

// signal tells this process's relay that something was committed. It never
// blocks: a signal that nobody has taken yet stands for this one too.
func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Publish makes payload known to every subscribed service once the transaction
// tx commits, and not at all if it is rolled back. It costs one insert. Several
// events of one transaction keep their order per key.
//
// Transactions that publish about the same key must exclude each other by a row
// lock taken before, or the order of their events is not defined. Updating or
// locking the aggregate's row does it; so does inserting it.
func Publish[T any](ctx context.Context, tx *gorm.DB, t Type[T], payload T) error {
	o, ok := tx.Config.Plugins[pluginName].(*Outbox)
	switch {
	case !ok:
		return ErrNoOutbox
	case t.source != o.service:
		return fmt.Errorf("%w: %s is %s's", ErrForeignType, t.name, t.source)
	}
	if err := database.AfterCommit(tx, o.signal); err != nil {
		return fmt.Errorf("publish %s: %w", t.name, err)
	}
	e, err := seal(ctx, t, payload)
	if err != nil {
		return fmt.Errorf("publish %s: %w", t.name, err)
	}
	return o.insert(tx, e)
}

func seal[T any](ctx context.Context, t Type[T], payload T) (Envelope, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return Envelope{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{
		Event: t.name, Data: data, Timestamp: database.Now(), Service: t.source,
		ID: id, Key: t.key(payload), Version: t.version,
	}
	e.Traceparent, e.Tracestate = tracing.Carrier(ctx)
	return e, nil
}

const insertOutbox = `INSERT INTO event_outbox (part, event_id, key, envelope) VALUES ($1, $2, $3, $4)`

// insert leaves the row to the transaction's next round trip, mostly that of the
// commit, where a failure shows.
func (o *Outbox) insert(tx *gorm.DB, e Envelope) error {
	raw, err := jsonv2.Marshal(e)
	switch {
	case err != nil:
		return fmt.Errorf("publish %s: %w", e.Event, err)
	case len(raw) > MaxEnvelope:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrTooLarge, e.Event, len(raw), MaxEnvelope)
	}
	err = database.Later(tx, insertOutbox, partitionOf(e.Key, o.partitions), e.ID, e.Key, string(raw))
	if err != nil {
		return fmt.Errorf("publish %s: %w", e.Event, err)
	}
	return nil
}
