package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Limits of what can be published.
const (
	MaxEnvelope = 256 << 10 // bytes of an event with its envelope
	MaxKey      = 512       // bytes of a key
)

// Type is a type of event: its publisher, name and payload.
// Publisher and subscribers share one Type value. It is immutable.
type Type[T any] struct {
	source   string
	name     string
	version  int
	key      func(T) string
	personal bool
	erases   bool
}

// NewType describes the event name, published by the service source, with a
// payload T in the given version of its schema. key returns the id of the
// aggregate that the event is about: events with equal keys stay in order.
func NewType[T any](source, name string, version int, key func(T) string) Type[T] {
	return Type[T]{source: source, name: name, version: version, key: key}
}

// Personal returns a type whose payloads contain personal data. They stay in the producer's
// Postgres: Redis only announces the event, and consumers read it from the log. When an
// [Type.Erasing] event of the key follows, they are deleted from the log.
func (t Type[T]) Personal() Type[T] {
	t.personal = true
	return t
}

// Erasing returns a type that ends its key, as a deletion does. Within seconds, the
// payloads of earlier [Type.Personal] events of the key are deleted from the log; consumers
// that read these events later skip them. A consumer deletes what it has parked of the key,
// whether or not it subscribes to the type, and handles the event without waiting for it.
func (t Type[T]) Erasing() Type[T] {
	t.erases = true
	return t
}

// Name returns the event's name, e.g. "user.created".
func (t Type[T]) Name() string { return t.name }

// Version returns the version of the payload's schema.
func (t Type[T]) Version() int { return t.version }

// Source returns the name of the service that publishes the event.
func (t Type[T]) Source() string { return t.source }

// Envelope is an event as it travels, in JSON.
type Envelope struct {
	Event       string          `json:"event"`
	Data        json.RawMessage `json:"data"`
	Timestamp   time.Time       `json:"timestamp"`
	Service     string          `json:"service"`
	ID          uuid.UUID       `json:"id"`
	Key         string          `json:"key"`
	Version     int             `json:"version"`
	Traceparent string          `json:"traceparent,omitempty"`
	Tracestate  string          `json:"tracestate,omitempty"`
	Erases      bool            `json:"erases,omitzero"`   // see [Type.Erasing]
	Redacted    bool            `json:"redacted,omitzero"` // Data is not the payload
}

// redactedData takes the place of a payload. No handler of a release that does not know
// Redacted can decode it.
var redactedData = json.RawMessage(`"redacted"`)

// ParseEnvelope reads an envelope. Unknown fields are ignored; the error names
// the required field that is missing or malformed.
func ParseEnvelope(data []byte) (Envelope, error) {
	var e Envelope
	if len(data) > MaxEnvelope {
		return e, fmt.Errorf("envelope of %d bytes is over %d", len(data), MaxEnvelope)
	}
	if err := jsonv2.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("parse envelope: %w", err)
	}
	switch {
	case e.ID == uuid.Nil:
		return e, errors.New("envelope has no id")
	case e.Event == "":
		return e, errors.New("envelope has no event")
	case e.Version < 1:
		return e, errors.New("envelope has no version")
	case len(e.Data) == 0:
		return e, errors.New("envelope has no data")
	}
	return e, nil
}

// Meta describes the event that a handler gets, besides its payload.
type Meta struct {
	// ID is the event's own id: equal for every delivery of it, and so the
	// idempotency key for effects outside the database.
	ID uuid.UUID
	// Key is the id of the aggregate.
	Key string
	// Published is when the event was published.
	Published time.Time
	// Attempt counts the recorded deliveries to the handler, from 1.
	Attempt int
}

type metaKey struct{}

// WithMeta returns the context of a handler.
func WithMeta(ctx context.Context, m Meta) context.Context {
	return context.WithValue(ctx, metaKey{}, m)
}

// FromContext returns the event that a handler's ctx belongs to. The second
// result is false outside of a handler.
func FromContext(ctx context.Context) (Meta, bool) {
	m, ok := ctx.Value(metaKey{}).(Meta)
	return m, ok
}

// hash spreads keys over parts, the same way in every process and release.
func hash(key string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int64(h.Sum32())
}
