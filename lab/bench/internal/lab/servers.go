package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
)

// Servers says where the servers are. The roles and databases that a
// measurement needs it makes itself.
type Servers struct {
	Postgres env.Secret `env:"TEST_POSTGRES_URL"`
	Redis    env.Secret `env:"TEST_REDIS_URL"`
}

// Validate implements the loader's check.
func (s Servers) Validate() error {
	const advice = "is not set: run `make bench`, or start servers with `bin/stack infra`"
	var errs []error
	if s.Postgres.Reveal() == "" {
		errs = append(errs, env.Invalid("TEST_POSTGRES_URL", advice))
	}
	if s.Redis.Reveal() == "" {
		errs = append(errs, env.Invalid("TEST_REDIS_URL", advice))
	}
	return errors.Join(errs...)
}

// PostgresConfig reads the Postgres URL: how to connect, and to which database.
func (s Servers) PostgresConfig() (database.Config, string, error) {
	u, err := url.Parse(s.Postgres.Reveal())
	if err != nil {
		return database.Config{}, "", errors.New("TEST_POSTGRES_URL is not a URL") // err shows the password
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return database.Config{}, "", errors.New("TEST_POSTGRES_URL has no port")
	}
	password, _ := u.User.Password()
	return database.Config{
		Host: u.Hostname(), Port: port, User: u.User.Username(), Password: env.NewSecret(password),
		SSLMode: "disable", PoolMax: 5, PoolAcquire: 10 * time.Second, PoolIdle: time.Minute,
	}, strings.TrimPrefix(u.Path, "/"), nil
}

// RedisOptions reads the Redis URL.
func (s Servers) RedisOptions() (*redis.Options, error) {
	opts, err := redis.ParseURL(s.Redis.Reveal())
	if err != nil {
		return nil, errors.New("TEST_REDIS_URL is not a URL of Redis") // err shows the password
	}
	opts.ContextTimeoutEnabled = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return opts, nil
}

func connection(cfg database.Config, name string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password.Reveal()),
		Host: net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), Path: "/" + name,
		RawQuery: url.Values{"sslmode": {cfg.SSLMode}}.Encode(),
	}
	return u.String()
}

// Setup is what the servers are and promise, and which processes they are.
type Setup struct {
	Postgres, Redis       string // versions
	Postmaster, RedisPID  int    // process ids; those of this machine only if they run here
	Unsafe                string // why figures from these servers would mislead; "" if they would not
	postgresFsync, commit string
	appendOnly, syncs     string
}

// Setup asks the servers how they are set up.
func (l *Lab) Setup(ctx context.Context) (Setup, error) {
	var s Setup
	row := l.admin.Gorm.WithContext(ctx).Raw(`
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
	split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int`).Row()
	if err := row.Scan(&s.Postgres, &s.postgresFsync, &s.commit, &s.Postmaster); err != nil {
		return s, fmt.Errorf("ask Postgres for its settings: %w", err)
	}
	s.Postgres, _, _ = strings.Cut(s.Postgres, " ")
	info, err := l.redis.Info(ctx, "server").Result()
	if err != nil {
		return s, fmt.Errorf("ask Redis for its settings: %w", err)
	}
	s.Redis = field(info, "redis_version")
	s.RedisPID, _ = strconv.Atoi(field(info, "process_id"))
	config, err := l.redis.ConfigGet(ctx, "append*").Result()
	if err != nil {
		return s, fmt.Errorf("ask Redis for its settings: %w", err)
	}
	s.appendOnly, s.syncs = config["appendonly"], config["appendfsync"]
	s.Unsafe = s.judge()
	return s, nil
}

func (s Setup) judge() string {
	switch {
	case s.postgresFsync != "on" || s.commit != "on":
		return fmt.Sprintf("Postgres runs with fsync = %s and synchronous_commit = %s", s.postgresFsync, s.commit)
	case s.appendOnly != "yes" || s.syncs == "no":
		return fmt.Sprintf("Redis runs with appendonly = %s and appendfsync = %s", s.appendOnly, s.syncs)
	}
	return ""
}

// String describes the servers.
func (s Setup) String() string {
	return fmt.Sprintf("PostgreSQL %s (fsync %s), Redis %s (appendonly %s, fsync %s)",
		s.Postgres, s.postgresFsync, s.Redis, s.appendOnly, s.syncs)
}

// field reads one line of Redis' INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
