package registry_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

const key = testkit.Env + ":registry:{" + user + "}"

// quick returns a Redis registry at a tenth of the usual times.
func quick(t *testing.T, deps registry.Deps, configured ...string) *registry.Registry {
	t.Helper()
	r := newRegistry(t, redisConfig(configured...), deps)
	registry.ShortenIntervals(r)
	return r
}

func redisConfig(configured ...string) registry.Config {
	return registry.Config{Kind: registry.KindRedis, Env: testkit.Env, URLs: map[string]string{user: strings.Join(configured, ",")}}
}

// server is an instance of user-service.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"healthy","service":"user-service"}`))
	}))
	t.Cleanup(s.Close)
	return s
}

func announced(t *testing.T, client redis.UniversalClient, url string) *registry.Registry {
	t.Helper()
	r := quick(t, registry.Deps{Redis: client})
	if err := r.Announce(t.Context(), user, url); err != nil {
		t.Fatal(err)
	}
	return r
}

// reading returns a running registry that has been asked for user-service once.
func reading(t *testing.T, client redis.UniversalClient) *registry.Registry {
	t.Helper()
	r := quick(t, registry.Deps{Redis: client})
	if _, err := r.GetService(user); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, r.Run)
	return r
}

func urls(r *registry.Registry) (list []string) {
	for _, i := range r.Instances(user) {
		list = append(list, i.URL)
	}
	return list
}

// eventually waits until ok, for at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, 10*time.Second, func() string {
		if ok() {
			return ""
		}
		return what
	})
}

// throughout asserts ok again and again for d.
func throughout(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		if !ok() {
			t.Fatal("no longer true: ", what)
		}
	}
}

func TestFirstUseFindsAnnounced(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	announced(t, client, a)
	reader := quick(t, registry.Deps{Redis: client})
	if url, err := reader.GetService(user); url != a || err != nil {
		t.Errorf("GetService = %q, %v", url, err)
	}
	if _, err := reader.GetService("order-service"); !errors.Is(err, registry.ErrNotAvailable) {
		t.Errorf("never announced: %v", err)
	}
}

func TestScaleUpAndWithdraw(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	one, two := server(t), server(t)
	first := announced(t, client, one.URL)
	testkit.Run(t, first.Run)
	reader := reading(t, client)
	eventually(t, "the first is found", func() bool { url, _ := reader.GetService(user); return url == one.URL })

	second := announced(t, client, two.URL)
	testkit.Run(t, second.Run)
	eventually(t, "the second is found", func() bool { return len(urls(reader)) == 2 })

	if err := first.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is gone, though it still answers", func() bool {
		return slices.Equal(urls(reader), []string{two.URL})
	})
	throughout(t, 300*time.Millisecond, "it stays gone", func() bool { return len(urls(reader)) == 1 })
	if err := first.Withdraw(t.Context()); err != nil {
		t.Errorf("a second Withdraw: %v", err)
	}
}

func TestSuccessorAtTheSameAddress(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	old := announced(t, client, a)
	announced(t, client, a) // the successor is up before the old one withdraws
	if err := old.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader := quick(t, registry.Deps{Redis: client})
	if url, err := reader.GetService(user); url != a || err != nil {
		t.Errorf("the old one's tombstone buried its successor: %q, %v", url, err)
	}
}

func TestAnnounceAgainAfterWithdraw(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	r := announced(t, client, a)
	if err := r.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Announce(t.Context(), user, a); err != nil {
		t.Fatal(err)
	}
	reader := quick(t, registry.Deps{Redis: client})
	if url, err := reader.GetService(user); url != a || err != nil {
		t.Errorf("GetService = %q, %v", url, err)
	}
}

func TestKilledInstanceExpires(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	dead, alive := server(t), server(t)
	announced(t, client, dead.URL) // no Run: no heartbeat follows
	testkit.Run(t, announced(t, client, alive.URL).Run)
	reader := reading(t, client)
	eventually(t, "both are found", func() bool { return len(urls(reader)) == 2 })
	dead.Close()
	eventually(t, "the dead one is forgotten", func() bool { return slices.Equal(urls(reader), []string{alive.URL}) })
}

func TestMissingHeartbeatIsOnlyAHint(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	silent, beating := server(t), server(t)
	announced(t, client, silent.URL)
	testkit.Run(t, announced(t, client, beating.URL).Run)
	reader := reading(t, client)
	eventually(t, "the silent one is no longer listed", func() bool {
		return slices.ContainsFunc(reader.Instances(user), func(i registry.Instance) bool { return i.URL == silent.URL && !i.Listed })
	})
	throughout(t, 500*time.Millisecond, "it answers its checks and stays", func() bool { return len(urls(reader)) == 2 })
}

func TestFlushedRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	s := server(t)
	testkit.Run(t, announced(t, client, s.URL).Run)
	reader := reading(t, client)
	eventually(t, "found", func() bool { url, _ := reader.GetService(user); return url == s.URL })
	for range 3 { // what FLUSHALL does to this test's keys
		if err := client.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		throughout(t, 50*time.Millisecond, "calls go on", func() bool { _, err := reader.GetService(user); return err == nil })
		eventually(t, "announced again", func() bool { return client.Exists(t.Context(), key).Val() == 1 })
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	announced(t, client, a)
	left, err := client.PTTL(t.Context(), key).Result()
	if err != nil || left <= 0 || left > 6*time.Second {
		t.Errorf("the key lives for %v more, %v; want at most 10 TTLs", left, err)
	}
}

// outage returns a client that cannot reach Redis while down is true.
func outage(t *testing.T) (client *redis.Client, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	opts := *testkit.Redis(t).Options()
	opts.MaxRetries = -1
	opts.DialerRetries = 1
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("connection refused")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	opts.ConnMaxLifetime = time.Millisecond // an open connection does not outlive the beginning of the outage
	client = redis.NewClient(&opts)
	t.Cleanup(func() { client.Close() })
	return client, down
}

func TestOutageStopsNoCall(t *testing.T) {
	t.Parallel()
	client, down := outage(t)
	s := server(t)
	self := announced(t, client, s.URL)
	testkit.Run(t, self.Run)
	reader := reading(t, client)
	eventually(t, "found", func() bool { url, _ := reader.GetService(user); return url == s.URL })
	down.Store(true)
	throughout(t, time.Second, "calls go on beyond the TTL", func() bool { _, err := reader.GetService(user); return err == nil })
	if err := self.Withdraw(t.Context()); err == nil {
		t.Error("Withdraw says nothing of the outage")
	}
}

func TestRedisDownAtStart(t *testing.T) {
	t.Parallel()
	client, down := outage(t)
	down.Store(true)
	s := server(t)
	self := announced(t, client, s.URL) // no error
	testkit.Run(t, self.Run)
	reader := quick(t, registry.Deps{Redis: client, HTTP: &http.Client{Transport: fleetOf(a, s.URL)}}, a)
	testkit.Run(t, reader.Run)
	if url, err := reader.GetService(user); url != a || err != nil {
		t.Errorf("the configured standby does not serve: %q, %v", url, err)
	}
	down.Store(false)
	eventually(t, "the announced one is preferred", func() bool { url, _ := reader.GetService(user); return url == s.URL })
}

// In a local stack an instance announces the very URL that is configured.
func TestWithdrawnButConfigured(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	reader := quick(t, registry.Deps{Redis: client, HTTP: &http.Client{Transport: fleetOf(a)}}, a)
	testkit.Run(t, reader.Run)
	standby := func() bool { return reader.Instances(user)[0].Standby }
	if !standby() {
		t.Fatal("the configured instance does not stand by")
	}
	self := announced(t, client, a)
	eventually(t, "found", func() bool { return !standby() })
	if err := self.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "standing by again", standby)
}

func TestStaticAnnouncesNothing(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Config{}, registry.Deps{})
	if err := r.Announce(t.Context(), user, a); err != nil {
		t.Error(err)
	}
	if err := r.Withdraw(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Announce(t.Context(), user, "nonsense"); err == nil {
		t.Error("a malformed URL is accepted")
	}
}
