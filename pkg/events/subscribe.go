package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// handler is a registered Handler without its type.
type handler struct {
	version int
	lifts   map[int]lift // by the version they lift from
	call    func(ctx context.Context, tx *gorm.DB, data json.RawMessage) error
}

// lift turns a payload of one version into one of the next.
type lift func(json.RawMessage) (json.RawMessage, error)

// Option changes how events of a type are read.
type Option func(*handler)

// Upcast has payloads of version from, which are of type Old, turned into the
// next version's, of type New, before they are decoded further. Versions without
// an Upcast are decoded as they are: fields they lack stay zero.
func Upcast[Old, New any](from int, f func(Old) (New, error)) Option {
	return func(h *handler) {
		h.lifts[from] = func(data json.RawMessage) (json.RawMessage, error) {
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

// On has h called for every event of type t, those published before the service
// first ran included, as far as the producer's log reaches. Payload fields that
// T does not know are ignored. What h cannot be given is set aside as a dead
// letter: a payload that does not decode, or of a version newer than t's.
//
// On panics if t has a handler already.
func On[T any](c *Consumer, t Type[T], h Handler[T], opts ...Option) {
	if _, taken := c.handlers[t.name]; taken {
		panic(fmt.Sprintf("events: two handlers for %s", t.name))
	}
	c.follow(t.source)
	registered := handler{version: t.version, lifts: map[int]lift{}}
	for _, o := range opts {
		o(&registered)
	}
	registered.call = func(ctx context.Context, tx *gorm.DB, data json.RawMessage) error {
		var payload T
		if err := json.Unmarshal(data, &payload); err != nil {
			return Permanent(fmt.Errorf("decode %s: %w", t.name, err))
		}
		return h(ctx, tx, payload)
	}
	c.handlers[t.name] = registered
}

// Named is a Type whatever it carries.
type Named interface {
	Name() string
	Source() string
}

// Ignore declares events that the service knows and has no use for. An event of
// a source that the service subscribes to, and that is neither handled nor
// ignored, is of a type unknown to it: it is set aside as a dead letter, so that
// nothing which a newer producer says is dropped unseen.
func Ignore(c *Consumer, types ...Named) {
	for _, t := range types {
		c.follow(t.Source())
		c.ignored[t.Name()] = true
	}
}

func (c *Consumer) follow(source string) {
	if !slices.Contains(c.sources, source) {
		c.sources = append(c.sources, source)
	}
}

// upcast brings a payload to the handler's version.
func (h handler) upcast(e Envelope) (json.RawMessage, error) {
	data := e.Data
	for version := e.Version; version < h.version; version++ {
		if up, ok := h.lifts[version]; ok {
			var err error
			if data, err = up(data); err != nil {
				return nil, Permanent(fmt.Errorf("upcast %s from version %d: %w", e.Event, version, err))
			}
		}
	}
	return data, nil
}
