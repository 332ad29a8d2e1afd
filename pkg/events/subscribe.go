package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// Handler applies an event. What it writes with tx takes effect exactly once. It
// must not keep tx, and should return when ctx is done: a first attempt has one
// second, later ones have ten.
type Handler[T any] func(ctx context.Context, tx *gorm.DB, payload T) error

// Subscriptions are the event types that a service handles. Fill them with On
// before the consumer runs; after that they are safe for concurrent use.
type Subscriptions struct {
	types   map[TypeName]*Subscription
	sources []string
}

// TypeName names an event type: event names belong to their source.
type TypeName struct{ Source, Event string }

// Subscription is a registered Handler without its type.
type Subscription struct {
	TypeName
	// Version is the newest version of the payload that the handler knows.
	Version int
	// Erases reports that the type is [Type.Erasing].
	Erases bool

	lifts map[int]lift // by the version that they lift from
	call  func(ctx context.Context, tx *gorm.DB, data json.RawMessage) error
}

// lift turns a payload of one version into one of the next.
type lift func(json.RawMessage) (json.RawMessage, error)

// NewSubscriptions returns none.
func NewSubscriptions() *Subscriptions {
	return &Subscriptions{types: map[TypeName]*Subscription{}}
}

// Sources returns the services whose events are subscribed to.
func (s *Subscriptions) Sources() []string { return s.sources }

// Find returns the subscription to an event type, nil for none.
func (s *Subscriptions) Find(source, event string) *Subscription {
	return s.types[TypeName{source, event}]
}

// All returns the subscriptions by type.
func (s *Subscriptions) All() map[TypeName]*Subscription { return s.types }

// Option changes how events of a type are handled.
type Option func(*Subscription)

// Upcast converts payloads of version from, of type Old, to the next version, of type
// New, before they are decoded further. Versions without
// an Upcast are decoded as they are: fields they lack stay zero.
func Upcast[Old, New any](from int, f func(Old) (New, error)) Option {
	return func(s *Subscription) {
		s.lifts[from] = func(data json.RawMessage) (json.RawMessage, error) {
			var old Old
			if err := json.Unmarshal(data, &old); err != nil {
				return nil, err
			}
			next, err := f(old)
			if err != nil {
				return nil, err
			}
			return json.Marshal(next)
		}
	}
}

// On registers h for every event of type t, those published before the service
// first ran included, as far as the producer's log reaches. Payload fields that
// T does not know are ignored. A payload that does not decode is a dead letter.
// Events of types that no instance of the service subscribes to are skipped.
//
// On panics if t has a handler already.
func On[T any](s *Subscriptions, t Type[T], h Handler[T], opts ...Option) {
	name := TypeName{t.source, t.name}
	if s.types[name] != nil {
		panic(fmt.Sprintf("events: two handlers for %s", t.name))
	}
	registered := &Subscription{TypeName: name, Version: t.version, Erases: t.erases, lifts: map[int]lift{}}
	for _, o := range opts {
		o(registered)
	}
	registered.call = func(ctx context.Context, tx *gorm.DB, data json.RawMessage) error {
		var payload T
		if err := json.Unmarshal(data, &payload); err != nil {
			return Permanent(fmt.Errorf("decode %s: %w", t.name, err))
		}
		return h(ctx, tx, payload)
	}
	s.types[name] = registered
	if !slices.Contains(s.sources, t.source) {
		s.sources = append(s.sources, t.source)
	}
}

// Handle calls the handler with the payload of e, lifted to its version.
func (s *Subscription) Handle(ctx context.Context, tx *gorm.DB, e Envelope) error {
	data := e.Data
	for version := e.Version; version < s.Version; version++ {
		if up, ok := s.lifts[version]; ok {
			var err error
			if data, err = up(data); err != nil {
				return Permanent(fmt.Errorf("upcast %s from version %d: %w", e.Event, version, err))
			}
		}
	}
	return s.call(ctx, tx, data)
}
