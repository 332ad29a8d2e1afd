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
	owner string // the identity of the database, "" until it was read
	state atomic.Pointer[error]
}

func newClaim(cfg Config, db *gorm.DB, client redis.UniversalClient, log *slog.Logger) *claim {
	c := &claim{key: cfg.Env + ":owner:{" + cfg.Service + "}", db: db, redis: client, log: log}
	c.state.Store(&errNotClaimed)
	return c
}

// Run renews the claim until ctx is done.
func (c *claim) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		_ = c.renew(ctx)
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
	if c.owner == "" {
		limited, cancel := context.WithTimeout(ctx, claimTime)
		defer cancel()
		// A database that was copied or restored elsewhere is another one.
		err := c.db.WithContext(limited).Raw(`SELECT system_identifier || '/' || d.oid
FROM pg_control_system(), pg_database d WHERE d.datname = current_database()`).Scan(&c.owner).Error
		if err != nil {
			return fmt.Errorf("read the identity of the database: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	return c.claim(ctx, c.redis)
}

// claim claims the Redis that cmd is sent to.
func (c *claim) claim(ctx context.Context, cmd redis.Cmdable) error {
	owner, err := cmd.SetArgs(ctx, c.key, c.owner, redis.SetArgs{Mode: "NX", Get: true, TTL: claimTTL}).Result()
	switch {
	case errors.Is(err, redis.Nil): // there was none
		err = nil
	case err == nil && owner == c.owner:
		err = cmd.PExpire(ctx, c.key, claimTTL).Err()
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
