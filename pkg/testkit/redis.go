package testkit

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	leaseTime = 10 * time.Minute // longer than any test
	leasePoll = 20 * time.Millisecond
	leaseWait = 2 * time.Minute
)

// Redis returns an empty Redis database for the test alone: one of the server's
// numbered databases, leased for the time of the test. FLUSHDB empties it;
// FLUSHALL would empty the others' too.
func Redis(t testing.TB) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(loadServers(t).Redis.Reveal())
	if err != nil {
		t.Fatalf("TEST_REDIS_URL: %v", err)
	}
	opts.ContextTimeoutEnabled = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opts.DB = 0
	directory := redis.NewClient(opts)
	t.Cleanup(func() { directory.Close() })
	own := *opts
	own.DB = lease(t, directory)
	client := redis.NewClient(&own)
	t.Cleanup(func() { client.Close() })
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return client
}

// Environ returns the environment in which a service uses the tests' Postgres and a separate
// Redis database.
func Environ(t testing.TB) []string {
	t.Helper()
	cfg := Config(t)
	u, err := url.Parse(loadServers(t).Redis.Reveal())
	if err != nil {
		t.Fatal("TEST_REDIS_URL is not a URL")
	}
	u.Path = "/" + strconv.Itoa(Redis(t).Options().DB)
	return []string{
		"DB_HOST=" + cfg.Host, "DB_PORT=" + strconv.Itoa(cfg.Port), "DB_USER=" + cfg.User,
		"DB_PASSWORD=" + cfg.Password.Reveal(), "DB_STATEMENT_CACHE=" + cfg.Statements, "REDIS_URL=" + u.String(),
	}
}

// lease takes a database number that no other test has.
func lease(t testing.TB, directory *redis.Client) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), leaseWait)
	defer cancel()
	config, err := directory.ConfigGet(ctx, "databases").Result()
	if err != nil {
		t.Fatalf("TEST_REDIS_URL: %v", err)
	}
	n, err := strconv.Atoi(config["databases"])
	if err != nil || n < 2 {
		t.Fatalf("TEST_REDIS_URL: server has %q databases, at least 2 are needed", config["databases"])
	}
	for {
		for i := 1; i < n; i++ {
			key := fmt.Sprintf("testkit:lease:%d", i)
			_, err := directory.SetArgs(ctx, key, t.Name(), redis.SetArgs{Mode: "NX", TTL: leaseTime}).Result()
			if err == nil {
				t.Cleanup(func() { directory.Del(context.Background(), key) })
				return i
			}
			if err != redis.Nil {
				t.Fatalf("lease a Redis database: %v", err)
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("all %d databases of the tests' Redis are taken", n-1)
		case <-time.After(leasePoll):
		}
	}
}
