package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/tracing"
)

// Errors of Publish that a program must not cause.
var (
	// ErrNoTransaction: tx is not inside a transaction, so the event could
	// outlive or miss the change that it announces.
	ErrNoTransaction = database.ErrNoTransaction
	// ErrNoOutbox: the database has no Outbox (gorm's db.Use).
	ErrNoOutbox = errors.New("events: database has no outbox")
	// ErrForeignType: the type belongs to another service.
	ErrForeignType = errors.New("events: type is published by another service")
	// ErrTooLarge: the event is over MaxEnvelope, or its key over MaxKey.
	ErrTooLarge = errors.New("events: event is too large")
)

const pluginName = "troika:events"

// Outbox makes a database one that a service can publish from. Install it with
// gorm's Use. It is safe for concurrent use.
type Outbox struct {
	service string
	wake    chan struct{}
}

// NewOutbox returns the outbox of a service.
func NewOutbox(service string) *Outbox {
	return &Outbox{service: service, wake: make(chan struct{}, 1)}
}

// Service returns the name of the service that publishes.
func (o *Outbox) Service() string { return o.service }

// Committed receives after transactions of this process have committed events.
// One value may stand for several commits.
func (o *Outbox) Committed() <-chan struct{} { return o.wake }

// Name implements gorm.Plugin.
func (o *Outbox) Name() string { return pluginName }

// Initialize implements gorm.Plugin.
func (o *Outbox) Initialize(*gorm.DB) error { return nil }

func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Publish sends payload to every subscribed service once the transaction tx commits, and
// not at all if it is rolled back. It costs one insert. Several events of one
// transaction keep their order per key.
//
// Transactions that publish about the same key wait for each other until they
// commit, so that the order of a key's events is the order of its commits. The
// wait ends with the transaction's lock timeout.
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
	ctx, span := tracing.Child(ctx, trace.SpanKindProducer, "publish")
	defer span.End()
	if span.IsRecording() {
		span.SetName("publish " + t.name)
		span.SetAttributes(attribute.String("messaging.operation.name", "publish"), attribute.String("messaging.destination.name", t.name))
	}
	e, err := seal(ctx, t, payload)
	if err != nil {
		return fmt.Errorf("publish %s: %w", t.name, err)
	}
	return insert(tx.WithContext(ctx), e, t.personal)
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
		ID: id, Key: t.key(payload), Version: t.version, Erases: t.erases,
	}
	e.Traceparent, e.Tracestate = tracing.Carrier(ctx)
	return e, nil
}

// The lock is taken before the row's id, and both after the transaction has its
// number: so ids follow commits per key, and no id is taken before a number.
const insertOutbox = `
INSERT INTO event_outbox (event_id, key, hash, envelope, personal, erases)
SELECT ?, ?, ?, ?, ?, ? FROM (
	SELECT pg_current_xact_id(), pg_advisory_xact_lock(hashtextextended(?, 15))) locked`

func insert(tx *gorm.DB, e Envelope, personal bool) error {
	raw, err := jsonv2.Marshal(e)
	switch {
	case err != nil:
		return fmt.Errorf("publish %s: %w", e.Event, err)
	case len(raw) > MaxEnvelope:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrTooLarge, e.Event, len(raw), MaxEnvelope)
	case len(e.Key) > MaxKey:
		return fmt.Errorf("%w: the key of %s has %d bytes, at most %d are allowed", ErrTooLarge, e.Event, len(e.Key), MaxKey)
	}
	if err := tx.Exec(insertOutbox, e.ID, e.Key, hash(e.Key), string(raw), personal, e.Erases, e.Key).Error; err != nil {
		return fmt.Errorf("publish %s: %w", e.Event, err)
	}
	return nil
}
