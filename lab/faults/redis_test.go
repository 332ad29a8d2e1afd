package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/go-troika/troika/pkg/testkit"
)

const (
	master = "events"
	secret = "lab"
)

// redisServer is one that the lab has started.
type redisServer struct {
	t      *testing.T
	port   int
	args   []string
	cmd    *exec.Cmd
	client *redis.Client
}

func startRedis(t *testing.T, port int, args ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, port: port, args: append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--requirepass", secret, "--masterauth", secret, "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0",
	}, args...)}
	s.client = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:" + strconv.Itoa(port), Password: secret,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.start()
	t.Cleanup(func() {
		s.client.Close()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%v: make test installs what is missing", err)
	}
	testkit.Eventually(s.t, patience, func() string {
		if err := s.client.Ping(s.t.Context()).Err(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (s *redisServer) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait()
}

func (s *redisServer) set(name, value string) {
	s.t.Helper()
	if err := s.client.ConfigSet(s.t.Context(), name, value).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// redisPair is a primary, its replica and their sentinel.
type redisPair struct {
	t               *testing.T
	primary, follow *redisServer
	sentinel        int // its port
}

func startRedisPair(t *testing.T) *redisPair {
	t.Helper()
	p := &redisPair{t: t, sentinel: freePort(t)}
	p.primary = startRedis(t, freePort(t))
	p.follow = startRedis(t, freePort(t), "--replicaof", fmt.Sprint("127.0.0.1 ", p.primary.port))
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor %s 127.0.0.1 %d 1\nsentinel auth-pass %[2]s %[4]s\n"+
		"sentinel down-after-milliseconds %[2]s 500\nsentinel failover-timeout %[2]s 2000\n",
		p.sentinel, master, p.primary.port, secret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", config, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.follows()
	return p
}

// open returns a client that asks the sentinel for the primary.
func (p *redisPair) open() redis.UniversalClient {
	return openRedis(p.t, redis.UniversalOptions{Addrs: []string{"127.0.0.1:" + strconv.Itoa(p.sentinel)},
		MasterName: master})
}

// openRedis returns a client with the settings of a service.
func openRedis(t *testing.T, o redis.UniversalOptions) redis.UniversalClient {
	t.Helper()
	o.Password, o.ContextTimeoutEnabled, o.DialTimeout = secret, true, time.Second
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewUniversalClient(&o)
	t.Cleanup(func() { c.Close() })
	return c
}

// flush empties whichever of the two is the primary by now: a sentinel may fail over on a
// busy machine, too.
func (p *redisPair) flush() {
	p.t.Helper()
	client := p.open()
	testkit.Eventually(p.t, patience, func() string {
		if err := client.FlushAll(p.t.Context()).Err(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// follows waits until the replica has what the primary has, and the sentinel knows. After
// both were down the sentinel may have made either the primary.
func (p *redisPair) follows() {
	p.t.Helper()
	defer func() {
		if role, err := p.primary.client.Do(p.t.Context(), "ROLE").Slice(); err == nil && role[0] == "slave" {
			p.primary, p.follow = p.follow, p.primary
		}
	}()
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(p.sentinel)})
	defer sentinel.Close()
	testkit.Eventually(p.t, patience, func() string {
		replicas, err := sentinel.Replicas(p.t.Context(), master).Result()
		if err != nil || len(replicas) != 1 || replicas[0]["master-link-status"] != "ok" {
			return fmt.Sprintf("the sentinel knows %v, %v", replicas, err)
		}
		return ""
	})
}

// failover has the replica lag, kills the primary, waits for
// the replica to lead, and brings the old one back behind it.
func (p *redisPair) failover(lag time.Duration) {
	p.t.Helper()
	ctx := p.t.Context()
	p.follow.set("masterauth", "wrong")
	if err := p.primary.client.ClientKillByFilter(ctx, "TYPE", "replica").Err(); err != nil {
		p.t.Fatal(err)
	}
	<-time.After(lag)
	p.primary.kill()
	testkit.Eventually(p.t, patience, func() string {
		role, err := p.follow.client.Do(ctx, "ROLE").Slice()
		if err != nil || role[0] != "master" {
			return fmt.Sprintf("the replica is %v, %v", role, err)
		}
		return ""
	})
	p.follow.set("masterauth", secret)
	p.primary, p.follow = p.follow, p.primary
	p.follow.start()
	p.follows()
}
