package chassis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"
)

const (
	claimTTL   = 10 * time.Second // life of a claim that no instance renews
	claimRenew = 2 * time.Second
	claimRetry = 500 * time.Millisecond // while there is no claim
	claimTime  = time.Second            // for each of Postgres and Redis
)

var (
	errNotClaimed = errors.New("not using Redis yet: its owner was not compared")
	errForeign    = errors.New("this Redis belongs to another system with the same APP_ENV: another database of this service uses it")
)

// claim keeps systems with the same APP_ENV apart. The keys of a service in Redis belong to one
// database of that service at a time: <env>:owner:{<service>} holds its identity, and expires when
// no instance renews it. Clients with its hook and OnConnect use no Redis that has another owner.
type claim struct {
	key   string
	db    *gorm.DB
	redis redis.UniversalClient // without the hook
	log   *slog.Logger
	self  atomic.Pointer[identity] // nil until it was read
	state atomic.Pointer[error]
}

// identity tells a database from others.
type identity struct {
	now    string
	before string // another one, of a database that was made anew since; or ""
}

func newClaim(cfg Config, db *gorm.DB, client redis.UniversalClient, log *slog.Logger) *claim {
	c := &claim{key: cfg.Env + ":owner:{" + cfg.Service + "}", db: db, redis: client, log: log}
	c.state.Store(&errNotClaimed)
	return c
}

// Run renews the claim until ctx is done.
func (c *claim) Run(ctx context.Context) error {
	warned := false
	for ctx.Err() == nil {
		err := c.renew(ctx)
		if errors.Is(c.refusal(), errNotClaimed) && !warned && ctx.Err() == nil {
			c.log.Warn("Redis is not used until its owner was compared; will retry", "error", err)
			warned = true
		}
		wait := claimRenew
		if c.refusal() != nil {
			wait = claimRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// renew claims Redis or renews the claim. The error is errForeign, or tells why the owner is not
// known; then the state stays as it is.
func (c *claim) renew(ctx context.Context) error {
	if err := c.identify(ctx); err != nil && c.self.Load() == nil {
		return err // without Postgres the identity stays the one that was read last
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	return c.claim(ctx, c.redis)
}

// identify reads the identity of the database. One that was copied or restored elsewhere is
// another database; a running instance follows its own when that is made anew.
func (c *claim) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	var now string
	err := c.db.WithContext(ctx).Raw(`SELECT system_identifier || '/' || d.oid
FROM pg_control_system(), pg_database d WHERE d.datname = current_database()`).Scan(&now).Error
	if err != nil {
		return fmt.Errorf("read the identity of the database: %w", err)
	}
	switch known := c.self.Load(); {
	case known == nil:
		c.self.Store(&identity{now: now})
	case known.now != now:
		c.self.Store(&identity{now: now, before: known.now})
	}
	return nil
}

// claim claims the Redis that cmd is sent to.
func (c *claim) claim(ctx context.Context, cmd redis.Cmdable) error {
	self := c.self.Load()
	owner, err := cmd.SetArgs(ctx, c.key, self.now, redis.SetArgs{Mode: "NX", Get: true, TTL: claimTTL}).Result()
	switch {
	case errors.Is(err, redis.Nil): // there was none
		err = nil
	case err == nil && (owner == self.now || owner == self.before):
		err = cmd.Set(ctx, c.key, self.now, claimTTL).Err()
	case err == nil:
		err = errForeign
	}
	if err != nil && err != errForeign {
		return fmt.Errorf("claim Redis: %w", err)
	}
	c.become(err)
	return err
}

// become logs a change of the state.
func (c *claim) become(state error) {
	switch was := *c.state.Swap(&state); {
	case state != nil && was == nil:
		c.log.Error("Redis has another owner; not using it", "key", c.key, "error", state)
	case state == nil && errors.Is(was, errForeign):
		c.log.Info("Redis has no other owner any more; using it", "key", c.key)
	}
}

// refusal returns why Redis must not be used now, nil if it may.
func (c *claim) refusal() error { return *c.state.Load() }

// OnConnect refuses a new connection to a Redis that has another owner, such as one that a changed
// address leads to. A node of a Redis Cluster that does not have the key is not refused.
func (c *claim) OnConnect(ctx context.Context, conn *redis.Conn) error {
	if c.refusal() != nil {
		return c.refusal()
	}
	if err := c.claim(ctx, conn); errors.Is(err, errForeign) {
		return err
	}
	return nil
}

// DialHook implements [redis.Hook].
func (c *claim) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements [redis.Hook].
func (c *claim) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := c.refusal(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (c *claim) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := c.refusal(); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}
