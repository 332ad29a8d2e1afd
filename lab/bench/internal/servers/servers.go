// Package servers makes databases on a real Postgres and clients of a real Redis for
// measurements, and removes what was made.
package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
)

const closeTime = 30 * time.Second

// Servers are the Postgres and the Redis of a run. It is safe for concurrent use.
type Servers struct {
	RedisURL string // with its password

	cfg   database.Config
	opts  *redis.Options
	admin *pgx.Conn
	redis *redis.Client

	mu        sync.Mutex // guards admin, too
	databases []string
}

type settings struct {
	Postgres env.Secret `env:"TEST_POSTGRES_URL"`
	Redis    env.Secret `env:"TEST_REDIS_URL"`
}

// Validate is called by env.Load.
func (s settings) Validate() error {
	var errs []error
	for name, url := range map[string]env.Secret{"TEST_POSTGRES_URL": s.Postgres, "TEST_REDIS_URL": s.Redis} {
		if url.Reveal() == "" {
			errs = append(errs, env.Invalid(name, "is not set: run `make bench`, or start servers with `bin/stack infra`"))
		}
	}
	return errors.Join(errs...)
}

// Open connects to the servers that TEST_POSTGRES_URL, a superuser's, and TEST_REDIS_URL
// name.
func Open(ctx context.Context, environ []string) (*Servers, error) {
	set, err := env.Load[settings](environ)
	if err != nil {
		return nil, err
	}
	opts, err := redis.ParseURL(set.Redis.Reveal())
	if err != nil {
		return nil, errors.New("TEST_REDIS_URL is not a URL of Redis") // err shows the password
	}
	opts.ContextTimeoutEnabled = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	admin, err := pgx.Connect(ctx, set.Postgres.Reveal())
	if err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	c := admin.Config()
	s := &Servers{
		RedisURL: set.Redis.Reveal(), opts: opts, admin: admin, redis: redis.NewClient(opts),
		cfg: database.Config{
			Host: c.Host, Port: int(c.Port), User: c.User, Password: env.NewSecret(c.Password),
			SSLMode: "disable", PoolAcquire: closeTime, PoolIdle: time.Minute,
		},
	}
	if err := s.redis.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("reach Redis: %w", err), s.Close())
	}
	return s, nil
}

// Close drops the databases. It does so at the end of a run because dropping one costs
// a checkpoint, which the next measurement would have to pay for.
func (s *Servers) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime*time.Duration(1+len(s.databases)))
	defer cancel()
	var errs []error
	for _, name := range s.databases {
		_, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.admin.Close(ctx), s.redis.Close())...)
}

// NewName returns a name that nothing on the servers has yet.
func NewName() string {
	id := uuid.New()
	return fmt.Sprintf("bench_%x", id[:6])
}

// CreateDatabase creates an empty database, which Close drops.
func (s *Servers) CreateDatabase(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases = append(s.databases, name)
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Config returns how to connect to Postgres with at most size connections.
func (s *Servers) Config(size int) database.Config {
	cfg := s.cfg
	cfg.PoolMax = size
	return cfg
}

// URL returns the connection string of a database, with the password.
func (s *Servers) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.cfg.User, s.cfg.Password.Reveal()),
		Host: net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port)), Path: database,
		RawQuery: "sslmode=" + s.cfg.SSLMode,
	}
	return u.String()
}

// RedisOptions returns the options of a client with at most size connections.
func (s *Servers) RedisOptions(size int) *redis.Options {
	opts := *s.opts
	opts.PoolSize = size
	return &opts
}

// NewRedis returns a client with at most size connections, which the caller closes.
func (s *Servers) NewRedis(size int) *redis.Client { return redis.NewClient(s.RedisOptions(size)) }

// RemoveKeys deletes the keys that match a pattern from Redis.
func (s *Servers) RemoveKeys(pattern string) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	keys := s.redis.Scan(ctx, 0, pattern, 1000).Iterator()
	for keys.Next(ctx) {
		if err := s.redis.Unlink(ctx, keys.Val()).Err(); err != nil {
			return fmt.Errorf("remove keys: %w", err)
		}
	}
	return keys.Err()
}

// Describe returns the servers' versions and settings. It refuses servers that do not
// keep what they confirm: ratios measured on those are meaningless.
func (s *Servers) Describe(ctx context.Context) (string, error) {
	var version, fsync, commit string
	err := s.admin.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('fsync'),
		current_setting('synchronous_commit')`).Scan(&version, &fsync, &commit)
	if err != nil {
		return "", fmt.Errorf("read Postgres' settings: %w", err)
	}
	info, errInfo := s.redis.InfoMap(ctx, "server").Result()
	config, errConfig := s.redis.ConfigGet(ctx, "append*").Result()
	if err := errors.Join(errInfo, errConfig); err != nil {
		return "", fmt.Errorf("read Redis' settings: %w", err)
	}
	if fsync != "on" || commit != "on" {
		return "", fmt.Errorf("unsafe settings of Postgres: fsync = %s, synchronous_commit = %s", fsync, commit)
	}
	if config["appendonly"] != "yes" || config["appendfsync"] == "no" {
		return "", fmt.Errorf("unsafe settings of Redis: appendonly = %s, appendfsync = %s", config["appendonly"],
			config["appendfsync"])
	}
	version, _, _ = strings.Cut(version, " ")
	return fmt.Sprintf("PostgreSQL %s (fsync %s), Redis %s (appendonly %s, fsync %s)",
		version, fsync, info["Server"]["redis_version"], config["appendonly"], config["appendfsync"]), nil
}
