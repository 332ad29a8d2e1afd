package events

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Hints between the instances of a service.
const (
	HintCommitted = "committed" // an event waits in the outbox
	HintStopped   = "stopped"   // an instance has released its parts
)

// Hints carries hints between the instances of a service through Redis. They may
// be missing, late or doubled; without them everything is found by polling. A nil
// *Hints carries none. It is safe for concurrent use.
type Hints struct {
	redis   redis.UniversalClient
	channel string
}

// NewHints returns the hints of a service in an environment.
func NewHints(rdb redis.UniversalClient, env, service string) *Hints {
	return &Hints{rdb, WakeChannel(env, service)}
}

// Send sends a hint to all instances. It takes at most 100 ms, and ignores errors.
func (h *Hints) Send(ctx context.Context, hint string) {
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	_ = h.redis.Publish(ctx, h.channel, hint).Err()
}

// Listen returns a channel of hints, which is never closed, until stop is called.
func (h *Hints) Listen(ctx context.Context) (hints <-chan string, stop func()) {
	c := make(chan string, 16)
	if h == nil {
		return c, func() {}
	}
	sub := h.redis.Subscribe(ctx, h.channel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range sub.Channel() {
			select {
			case c <- m.Payload:
			default:
			}
		}
	}()
	return c, func() {
		_ = sub.Close()
		<-done
	}
}
