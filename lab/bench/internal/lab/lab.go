package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
)

// Lab is where measurements are taken. It is safe for concurrent use.
type Lab struct {
	// Log is told what goes wrong in the systems under test.
	Log *slog.Logger

	cfg   database.Config
	opts  *redis.Options
	admin *database.DB
	redis *redis.Client

	mu        sync.Mutex
	databases []string // all that were made
	free      []string // those that nobody has
}

const closeTime = 30 * time.Second

// Open reaches the two servers. cfg is a superuser's, and names any database.
func Open(ctx context.Context, cfg database.Config, name string, opts *redis.Options, log *slog.Logger) (*Lab, error) {
	cfg.PoolMax, cfg.PoolMin = 2, 0
	admin, err := database.Open(ctx, cfg, name)
	if err != nil {
		return nil, err
	}
	own := *opts
	own.PushNotificationProcessor, own.MaintNotificationsConfig = nil, nil // a client's own, if opts come from one
	l := &Lab{Log: log, cfg: cfg, opts: &own, admin: admin}
	l.redis = l.NewRedis(own.PoolSize)
	if err := errors.Join(admin.Ping(ctx), l.redis.Ping(ctx).Err()); err != nil {
		return nil, errors.Join(fmt.Errorf("reach the servers: %w", err), l.Close())
	}
	return l, nil
}

// Close drops every database that the lab made.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	for _, name := range l.databases {
		errs = append(errs, l.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"))
	}
	return errors.Join(append(errs, l.admin.Close(), l.redis.Close())...)
}

// NewName makes a name that nothing on the servers has yet.
func NewName() string {
	id := uuid.New()
	return fmt.Sprintf("bench_%x", id[:6])
}

// TakeDatabase returns an empty database: one that was returned, or a new one.
// Making and dropping databases costs checkpoints, which whatever is measured
// next would have to pay for.
func (l *Lab) TakeDatabase(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		name := l.free[n-1]
		l.free = l.free[:n-1]
		return name, nil
	}
	name := NewName()
	return name, l.makeDatabase(ctx, name)
}

// MakeDatabase makes an empty database called name, which Close drops.
func (l *Lab) MakeDatabase(ctx context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.makeDatabase(ctx, name)
}

func (l *Lab) makeDatabase(ctx context.Context, name string) error {
	if err := l.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return err
	}
	l.databases = append(l.databases, name)
	return nil
}

// ReturnDatabase empties a database for whoever takes it next. Nothing may be
// connected to it any more.
func (l *Lab) ReturnDatabase(name string) error {
	if name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, l.URL(name))
	if err != nil {
		return fmt.Errorf("empty a database: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
		return fmt.Errorf("empty a database: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, name)
	return nil
}

// Config is how the Postgres is reached, with at most size connections.
func (l *Lab) Config(size int) database.Config {
	cfg := l.cfg
	cfg.PoolMax, cfg.PoolMin = size, 0
	cfg.PoolAcquire, cfg.PoolIdle = 30*time.Second, time.Minute
	return cfg
}

// URL is the connection string of a database, with the password in it.
func (l *Lab) URL(name string) string { return connection(l.cfg, name) }

// NewRedis returns a client with at most size connections, which the caller
// closes. Settings change its options.
func (l *Lab) NewRedis(size int, settings ...func(*redis.Options)) *redis.Client {
	opts := *l.opts
	opts.PoolSize = size
	for _, set := range settings {
		set(&opts)
	}
	return redis.NewClient(&opts)
}

// RemoveStreams deletes keys from Redis.
func (l *Lab) RemoveStreams(keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := l.redis.Unlink(ctx, keys...).Err(); err != nil {
		return fmt.Errorf("remove streams: %w", err)
	}
	return nil
}

func (l *Lab) exec(ctx context.Context, query string) error {
	if err := l.admin.Gorm.WithContext(ctx).Exec(query).Error; err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}
