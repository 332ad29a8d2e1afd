package chassis_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

func (s service) owner() string { return "test:owner:{" + s.name + "}" }

// Two systems with one APP_ENV have two databases of each service: the second does not start.
func TestRedisOfAnotherSystemIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	rdb := testkit.RedisServer(t)
	s.environ = append(s.environ, "REDIS_URL=redis://"+rdb.Options().Addr, "REGISTRY=redis")
	rdb.Set(t.Context(), s.owner(), "another database", 0)
	ch, err := app((*chassis.Chassis).Relay).Open(t.Context(), s.environ, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // in which a service that starts does not stop
	defer cancel()
	if err := ch.Run(ctx); err == nil || !strings.Contains(err.Error(), "belongs to another system") {
		t.Errorf("Run: %v", err)
	}
	if keys := rdb.Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("in Redis: %v", keys)
	}
}

// The address of a running instance's Redis changes to that of another system's Redis. It writes
// nothing there, until the other system is gone.
func TestRunningInstanceRefusesARedisOfAnotherSystem(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	own, other := testkit.RedisServer(t), testkit.RedisServer(t)
	var target atomic.Value
	target.Store(own.Options().Addr)
	i := start(t, append(s.environ, "REDIS_URL=redis://"+address(t, &target), "REGISTRY=redis"), (*chassis.Chassis).Relay)
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	publish := func() {
		err := i.DB.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, spoken, "hello") })
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := func(client *redis.Client) int { return len(client.Keys(t.Context(), "test:*").Val()) }
	publish()
	testkit.Eventually(t, 10*time.Second, func() string { return less(keys(own), 3) }) // owner, stream, registry

	other.Set(t.Context(), s.owner(), "another database", 0)
	target.Store(other.Options().Addr)
	_ = own.ShutdownNoSave(t.Context()) // an error after its end
	testkit.Eventually(t, 10*time.Second, func() string {
		publish()
		if i.log.count("Redis has another owner") == 0 {
			return "not logged"
		}
		return ""
	})
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); publish() {
		if n := keys(other); n != 1 {
			t.Fatalf("%d keys in another system's Redis", n)
		}
	}
	if n := i.log.count("Redis has another owner"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	other.Del(t.Context(), s.owner())
	testkit.Eventually(t, 10*time.Second, func() string { return less(keys(other), 3) })
}

func less(n, want int) string {
	if n < want {
		return "keys are missing"
	}
	return ""
}

// A Redis that lost its data is claimed again; the instances of one system share it; a claim
// that no instance renews ends.
func TestRedisIsClaimedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	rdb := testkit.RedisServer(t)
	s.environ = append(s.environ, "REDIS_URL=redis://"+rdb.Options().Addr)
	start(t, s.environ, (*chassis.Chassis).Relay)
	start(t, s.environ, (*chassis.Chassis).Relay)
	for range 2 {
		testkit.Eventually(t, 10*time.Second, func() string { return less(int(rdb.Exists(t.Context(), s.owner()).Val()), 1) })
		if left := rdb.PTTL(t.Context(), s.owner()).Val(); left <= 0 || left > 10*time.Second {
			t.Errorf("the claim lasts for %v", left)
		}
		rdb.FlushAll(t.Context())
	}
}

// A database is made anew while an instance runs: the instance claims Redis for the new one, and
// further instances start.
func TestClaimFollowsADatabaseMadeAnew(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	rdb := testkit.RedisServer(t)
	s.environ = append(s.environ, "REDIS_URL=redis://"+rdb.Options().Addr)
	start(t, s.environ, (*chassis.Chassis).Relay)
	owner := func() string { return rdb.Get(t.Context(), s.owner()).Val() }
	testkit.Eventually(t, 10*time.Second, func() string { return less(len(owner()), 1) })
	before := owner()

	name := database.Name(s.name, "test")
	if err := testkit.Open(t, "postgres").Gorm.Exec("DROP DATABASE " + name + " WITH (FORCE)").Error; err != nil {
		t.Fatal(err)
	}
	testkit.CreateDatabase(t, name)
	s.migrate()
	testkit.Eventually(t, 20*time.Second, func() string {
		if got := owner(); got == before || got == "" {
			return "the owner is still " + got
		}
		return ""
	})
	second := start(t, s.environ, (*chassis.Chassis).Relay)
	testkit.Eventually(t, 10*time.Second, func() string {
		if second.status("/readyz") != http.StatusOK {
			return "a second instance is not ready"
		}
		return ""
	})
}

// The log says why Redis is not used yet, once.
func TestCauseOfAMissingClaimIsLogged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	i := start(t, append(s.environ, "DB_PORT=1"), (*chassis.Chassis).Relay)
	testkit.Eventually(t, 20*time.Second, func() string {
		if i.log.count("read the identity of the database") == 0 {
			return "the cause is not logged"
		}
		return ""
	})
	if n := i.log.count("Redis is not used until"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
