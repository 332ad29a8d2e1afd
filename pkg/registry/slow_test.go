package registry_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

const slowness = 2 * time.Second

// slowConn answers late while slow is set.
type slowConn struct {
	net.Conn
	slow *atomic.Bool
}

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.slow.Load() {
		<-time.After(slowness)
	}
	return n, err
}

// slowRedis returns a client to which Redis answers 2 s late while slow is set.
func slowRedis(t *testing.T) (client *redis.Client, slow *atomic.Bool) {
	t.Helper()
	slow = new(atomic.Bool)
	opts := *testkit.Redis(t).Options()
	opts.ReadTimeout = 3 * slowness
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return slowConn{conn, slow}, err
	}
	client = redis.NewClient(&opts)
	t.Cleanup(func() { client.Close() })
	return client, slow
}

func TestSlowRedisDelaysNoCall(t *testing.T) {
	t.Parallel()
	client, slow := slowRedis(t)
	s := server(t)
	cfg := redisConfig()
	self := newRegistry(t, cfg, registry.Deps{Redis: client})
	if err := self.Announce(t.Context(), user, s.URL); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, self.Run)
	reader := newRegistry(t, cfg, registry.Deps{Redis: client})
	if _, err := reader.GetService(user); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, reader.Run)

	slow.Store(true)
	longest := time.Duration(0)
	throughout(t, 8*time.Second, "calls go on, beyond the TTL", func() bool { // longer than the TTL
		began := time.Now()
		url, err := reader.GetService(user)
		longest = max(longest, time.Since(began))
		return url == s.URL && err == nil
	})
	if longest >= slowness {
		t.Errorf("a call waited %v for Redis", longest)
	}
	if list := reader.Instances(user); len(list) != 1 || !list[0].Listed {
		t.Errorf("heartbeats of 2 s no longer arrive in time: %+v", list)
	}
	slow.Store(false)
}

// With a configured address even the first call of all waits for nothing.
func TestSlowRedisDelaysNotTheFirstCall(t *testing.T) {
	t.Parallel()
	client, slow := slowRedis(t)
	slow.Store(true)
	cfg := redisConfig(a)
	reader := newRegistry(t, cfg, registry.Deps{Redis: client, HTTP: &http.Client{Transport: fleetOf(a)}})
	began := time.Now()
	if url, err := reader.GetService(user); url != a || err != nil || time.Since(began) >= slowness {
		t.Errorf("GetService = %q, %v after %v", url, err, time.Since(began))
	}
}

// The time in a bubble is that of the year 2000: the clock of an instance, or of
// a reader, that is wrong by decades, whereas Redis has its own.
func TestClocksOfClientsDoNotMatter(t *testing.T) {
	t.Parallel()
	cfg := redisConfig()
	opts := testkit.Redis(t).Options()
	// announce and find work with a connection of their own, which a bubble needs.
	announce := func(t *testing.T, url string) {
		client := redis.NewClient(opts)
		defer client.Close()
		if err := newRegistry(t, cfg, registry.Deps{Redis: client}).Announce(t.Context(), user, url); err != nil {
			t.Error(err)
		}
	}
	find := func(t *testing.T) []string {
		client := redis.NewClient(opts)
		defer client.Close()
		reader := newRegistry(t, cfg, registry.Deps{Redis: client})
		_, _ = reader.GetService(user)
		return urls(reader)
	}
	want := []string{a, b}
	announce(t, a)
	synctest.Test(t, func(t *testing.T) {
		announce(t, b)
		if got := find(t); !slices.Equal(got, want) {
			t.Errorf("a reader of the year %d finds %v, want %v", time.Now().Year(), got, want)
		}
	})
	if got := find(t); !slices.Equal(got, want) {
		t.Errorf("a reader of today finds %v, want %v", got, want)
	}
}
