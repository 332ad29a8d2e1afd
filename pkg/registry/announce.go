package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	announceTimeout  = time.Second     // longest wait of Announce for Redis
	heartbeatTimeout = 4 * time.Second // a heartbeat may be slow as long as it beats the TTL
	tombstonesLast   = 10              // tombstones and dead entries are kept for so many TTLs
)

// announcement is the instance this process stands for.
type announcement struct {
	name    string
	at      endpoint
	id      string
	failing atomic.Bool // the latest heartbeat failed
}

// Announce registers this process as an instance of service name at url; Run repeats it every 2 s, so
// that a flushed or restarted Redis knows it again. Readers check DefaultHealthEndpoint. A Redis out of reach is logged
// and no error, and delays by at most 1 s. With static and dns it does nothing: others know the address already.
// It fails on a malformed name or url, or a host that Config.Allowed excludes. A second Announce replaces the first.
func (r *Registry) Announce(ctx context.Context, name, url string) error {
	e, err := newEndpoint(name, url, DefaultHealthEndpoint)
	if err != nil || r.cfg.Kind != KindRedis {
		return err
	}
	if err := r.cfg.CheckAdvertised(e.url); err != nil {
		return err
	}
	r.mu.Lock()
	r.self = &announcement{name: name, at: e, id: uuid.NewString()}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	r.heartbeat(ctx)
	return nil
}

// Withdraw takes the announced instance out: readers stop choosing it at their next refresh, within about a second.
// It fails when Redis cannot be reached; the instance then expires with its TTL. Without an announcement it does
// nothing. A registry that withdrew can announce again.
func (r *Registry) Withdraw(ctx context.Context) error {
	r.mu.Lock()
	self := r.self
	r.self = nil
	r.mu.Unlock()
	if self == nil {
		return nil
	}
	if err := r.write(ctx, self, stateGone, r.ttl*tombstonesLast); err != nil {
		return fmt.Errorf("withdraw %s: %w", self.name, err)
	}
	return nil
}

// heartbeat renews the announcement, if there is one.
func (r *Registry) heartbeat(ctx context.Context) {
	r.mu.Lock()
	self := r.self
	r.mu.Unlock()
	if self == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	err := r.write(ctx, self, stateUp, r.ttl)
	if err != nil && ctx.Err() == context.Canceled {
		return
	}
	switch was := self.failing.Swap(err != nil); {
	case err != nil && !was:
		r.deps.Log.Warn("heartbeat failed; will retry", slog.String("url", self.at.url), slog.Any("error", err))
	case err == nil && was:
		r.deps.Log.Info("heartbeat succeeds again", slog.String("url", self.at.url))
	}
}

func (r *Registry) write(ctx context.Context, self *announcement, state string, life time.Duration) error {
	keys := []string{redisKey(r.cfg.Env, self.name)}
	retention := r.ttl * tombstonesLast
	return heartbeatScript.Run(ctx, r.deps.Redis, keys,
		self.at.url, self.id, state, life.Milliseconds(), retention.Milliseconds()).Err()
}
