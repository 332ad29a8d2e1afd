package chassis_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

// address is one address behind which servers change. Connections that are open stay.
func address(t *testing.T, target *atomic.Value) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(context.Background(), "tcp", target.Load().(string))
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	return ln.Addr().String()
}

// Redis fails over behind one address; the old primary lives on as a replica, and
// its connections stay open.
func TestRedisFailsOverBehindOneAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	old, next := testkit.RedisServer(t), testkit.RedisServer(t)
	var target atomic.Value
	target.Store(old.Options().Addr)
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	i := start(t, append(s.environ, "REDIS_URL=redis://"+address(t, &target)+"/0"), (*chassis.Chassis).Relay)
	publish := func() {
		err := i.DB.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, spoken, "hello") })
		if err != nil {
			t.Fatal(err)
		}
	}
	streamed := func(on *redis.Client) {
		t.Helper()
		testkit.Eventually(t, 15*time.Second, func() string {
			keys, err := on.Keys(t.Context(), "test:events:{*").Result()
			if err != nil || len(keys) == 0 {
				return fmt.Sprintf("streams %v, %v", keys, err)
			}
			return ""
		})
	}
	publish()
	streamed(old)
	target.Store(next.Options().Addr)
	host, port, _ := net.SplitHostPort(next.Options().Addr)
	if err := old.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	publish()
	streamed(next)
}
