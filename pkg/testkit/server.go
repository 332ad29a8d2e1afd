package testkit

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer starts a Redis of the test's own, with arguments as redis-server
// takes them, for faults that concern the whole server. It ends with the test.
func RedisServer(t testing.TB, args ...string) *redis.Client {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	own := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}
	server := exec.Command("redis-server", append(own, args...)...)
	if err := server.Start(); err != nil {
		t.Fatalf("%v: make test installs what is missing", err)
	}
	client := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	Eventually(t, 10*time.Second, func() string {
		if err := client.Ping(t.Context()).Err(); err != nil {
			return err.Error()
		}
		return ""
	})
	return client
}
