package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

// productionRedis is a Redis that deploy/redis/start.sh has started, with TLS and the users of
// deploy/redis/users.acl.
type productionRedis struct {
	t    *testing.T
	addr string
	dir  string // of its secrets
	tls  *tls.Config
}

func startProductionRedis(t *testing.T) *productionRedis {
	t.Helper()
	issuer := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer issuer.Close()
	key, err := x509.MarshalPKCS8PrivateKey(issuer.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	r := &productionRedis{t: t, dir: t.TempDir(), tls: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}}
	r.tls.RootCAs.AddCert(issuer.Certificate())
	r.write("redis.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}))
	r.write("redis.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	for _, user := range append([]string{"operator"}, environment.Services...) {
		r.write("redis-password-"+user, []byte(rand.Text()+"\n"))
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	_, port, _ := net.SplitHostPort(r.addr)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("../deploy/redis/start.sh", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "")
	server.Env = append(os.Environ(), "APP_ENV=test", "SECRETS="+r.dir, "TMPDIR="+r.dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	anyone := r.connect("", "")
	testkit.Eventually(t, 10*time.Second, func() string { // as the health check of the container does
		if err := anyone.Ping(t.Context()).Err(); err != nil {
			return err.Error()
		}
		return ""
	})
	return r
}

func (r *productionRedis) write(name string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *productionRedis) connect(user, password string) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: r.addr, Username: user, Password: password, TLSConfig: r.tls.Clone(), DisableIdentity: true, MaxRetries: -1,
	})
	r.t.Cleanup(func() { client.Close() })
	return client
}

// as returns a client with the credentials of a user.
func (r *productionRedis) as(user string) *redis.Client {
	r.t.Helper()
	password, err := os.ReadFile(filepath.Join(r.dir, "redis-password-"+user))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.connect(user, strings.TrimSpace(string(password)))
}

// What services subscribe to. A service that is not listed does not consume.
var subscriptions = map[string][]string{
	environment.Order:   {environment.User},
	environment.Profile: {environment.User, environment.Order},
}

var producers = []string{environment.User, environment.Order}

// Each user can do what its service does, and has no right that the service does not use.
func TestRedisUsersHaveExactlyTheirRights(t *testing.T) {
	r := startProductionRedis(t)
	operator := r.as("operator")
	for _, service := range environment.Services {
		for _, prepare := range [][]any{{"config", "resetstat"}, {"script", "flush"}, {"acl", "log", "reset"}} {
			if err := operator.Do(t.Context(), prepare...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		useRedis(t, operator, r.as(service), service)
		if denied, err := operator.Do(t.Context(), "acl", "log").Slice(); err != nil || len(denied) > 0 {
			t.Errorf("%s is denied: %v, %v", service, denied, err)
		}
		used, err := operator.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		user, err := operator.Do(t.Context(), "acl", "getuser", service).Result()
		if err != nil {
			t.Fatal(err)
		}
		rights := user.(map[any]any)["commands"].(string)
		for _, right := range strings.Fields(rights)[1:] {
			command := strings.TrimPrefix(right, "+")
			if !regexp.MustCompile(`cmdstat_` + regexp.QuoteMeta(command) + `(\||:)`).MatchString(used) {
				t.Errorf("%s has a right to %s and does not use it", service, command)
			}
		}
	}
}

// useRedis does with each part of a service that uses Redis all that it does.
func useRedis(t *testing.T, operator, client *redis.Client, service string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", service, err)
		}
	}
	ctx := t.Context()
	must(client.Ping(ctx).Err())            // of the connection that waits for hints
	owner := "test:owner:{" + service + "}" // as the chassis does
	_, err := client.SetArgs(ctx, owner, "x", redis.SetArgs{Mode: "NX", Get: true, TTL: time.Minute}).Result()
	if !errors.Is(err, redis.Nil) {
		must(err)
	}
	must(client.PExpire(ctx, owner, time.Minute).Err())

	reg, err := registry.New(registry.Config{Kind: registry.KindRedis, Env: "test"}, registry.Deps{Redis: client})
	must(err)
	must(operator.HSet(ctx, registryKey(service), "http://10.0.0.1:1", "nonsense").Err()) // which it deletes
	must(reg.Announce(ctx, service, "http://127.0.0.1:1"))
	if _, err := reg.GetService(service); err != nil {
		t.Errorf("%s does not find itself: %v", service, err)
	}
	_, _ = reg.GetService(environment.Order)
	must(reg.Withdraw(ctx))

	hints := events.NewHints(client, "test", service)
	received, stop := hints.Listen(ctx)
	testkit.Eventually(t, 10*time.Second, func() string {
		hints.Send(ctx, events.HintCommitted)
		select {
		case <-received:
			return ""
		case <-time.After(20 * time.Millisecond):
			return "a hint"
		}
	})
	stop()

	if slices.Contains(producers, service) {
		streams := relay.NewRedis(client, "test", service)
		records := []relay.Batch{{Part: events.Part{Number: 1}, Records: []events.Record{{Position: events.Position{Pos: 1, Mark: 1}}}}}
		_, err := streams.Append(ctx, records, 100)
		must(err)
		_, err = streams.Ends(ctx, []int64{1})
		must(err)
		must(operator.ConfigSet(ctx, "maxmemory", "1").Err())
		if _, err := streams.Append(ctx, records, 100); err == nil { // which trims
			t.Error("Redis is not full")
		}
		must(operator.ConfigSet(ctx, "maxmemory", "0").Err())
		must(streams.Delete(ctx, []int64{1}))
	}
	for _, source := range subscriptions[service] {
		must(operator.XAdd(ctx, &redis.XAddArgs{Stream: events.StreamName("test", source, 1), ID: "0-1", Values: []string{"m", "1"}}).Err())
		reader := consumer.NewRedis(func() redis.UniversalClient { return client }, "test").Open(source, 1)
		_, err := reader.Read(ctx, events.Part{}, 0)
		must(err)
		must(operator.Del(ctx, events.StreamName("test", source, 1)).Err())
	}
}

func registryKey(service string) string { return "test:registry:{" + service + "}" }

// A stranger with profile-service's credentials can neither append an event, nor delete or trim a
// stream, nor announce another service.
func TestRedisRefusesAStranger(t *testing.T) {
	r := startProductionRedis(t)
	operator, stranger := r.as("operator"), r.as(environment.Profile)
	ctx := t.Context()
	stream := events.StreamName("test", environment.User, 1)
	entry := &redis.XAddArgs{Stream: stream, ID: "0-1", Values: []string{"m", "1", "p", "0", "e", "{}"}}
	if err := operator.XAdd(ctx, entry).Err(); err != nil {
		t.Fatal(err)
	}
	users := registry.Config{Kind: registry.KindRedis, Env: "test"}
	genuine, err := registry.New(users, registry.Deps{Redis: r.as(environment.User)})
	if err != nil {
		t.Fatal(err)
	}
	if err := genuine.Announce(ctx, environment.User, "http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	before := state(t, operator)
	script := func(call string) []any { return []any{"eval", "return redis.call(" + call + ")", "0"} }
	for _, command := range [][]any{
		{"xadd", stream, "0-2", "m", "2"}, {"xadd", events.StreamName("test", environment.Profile, 1), "*", "m", "1"},
		{"del", stream}, {"unlink", stream}, {"xtrim", stream, "maxlen", "0"}, {"xdel", stream, "0-1"}, {"xsetid", stream, "9-9"},
		{"xgroup", "create", stream, "g", "0"}, {"set", stream, "x"}, {"rename", stream, "x"}, {"pexpire", stream, "1"},
		{"copy", stream, "x"}, {"restore", "x", "0", "x"}, {"migrate", "127.0.0.1", "1", stream, "0", "1"},
		script("'xadd', '" + stream + "', '0-2', 'm', '2'"), script("'del', '" + stream + "'"),
		script("'hset', '" + registryKey(environment.User) + "', 'http://10.0.0.9:1', '9 up x'"),
		{"hset", registryKey(environment.User), "http://10.0.0.9:1", "99999999999999 up x"},
		{"hdel", registryKey(environment.User), "http://127.0.0.1:1"}, {"pexpire", registryKey(environment.User), "1"},
		{"eval", "return 1", "1", registryKey(environment.User)},
		{"publish", events.WakeChannel("test", environment.User), "committed"},
		{"subscribe", events.WakeChannel("test", environment.User)}, {"psubscribe", "*"},
		{"xread", "streams", events.StreamName("production", environment.User, 1), "0"},
		{"hgetall", "production:registry:{user-service}"}, {"hset", "production:registry:{profile-service}", "a", "b"},
		{"set", "test:owner:{user-service}", "x"}, {"set", "production:owner:{profile-service}", "x"},
		{"flushall"}, {"flushdb"}, {"swapdb", "0", "1"}, {"select", "1"}, {"keys", "*"}, {"scan", "0"}, {"randomkey"}, {"dbsize"},
		{"config", "get", "*"}, {"acl", "list"}, {"acl", "setuser", "x"}, {"acl", "whoami"}, {"monitor"}, {"client", "list"}, {"client", "kill", "type", "normal"},
		{"client", "pause", "1"}, {"shutdown"}, {"save"}, {"bgsave"}, {"replicaof", "127.0.0.1", "1"}, {"sync"},
		{"script", "flush"}, {"script", "kill"}, {"function", "load", "#!lua name=x"}, {"fcall", "x", "0"}, {"module", "list"}, {"info"}, {"command"},
	} {
		err := stranger.Do(ctx, command...).Err()
		if err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "The user executing the script can't") {
			t.Errorf("%v: %v", command, err)
		}
	}
	forger, err := registry.New(users, registry.Deps{Redis: stranger})
	if err != nil {
		t.Fatal(err)
	}
	if err := forger.Announce(ctx, environment.User, "http://127.0.0.1:2"); err != nil {
		t.Fatal(err) // a Redis that refuses is logged
	}
	if _, err := relay.NewRedis(stranger, "test", environment.User).Append(ctx,
		[]relay.Batch{{Part: events.Part{Number: 1}, Records: []events.Record{{Position: events.Position{Pos: 2, Mark: 2}}}}}, 100); err == nil {
		t.Error("the stranger's relay appends")
	}
	if err := relay.NewRedis(stranger, "test", environment.User).Delete(ctx, []int64{1}); err == nil {
		t.Error("the stranger's relay deletes")
	}
	if after := state(t, operator); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// state returns what Redis holds.
func state(t *testing.T, operator *redis.Client) string {
	t.Helper()
	keys, err := operator.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var all strings.Builder
	for _, key := range keys {
		dump, err := operator.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(key + " " + strconv.Quote(dump) + "\n")
	}
	return all.String()
}

func TestRedisNeedsPasswordAndTLS(t *testing.T) {
	r := startProductionRedis(t)
	for name, client := range map[string]*redis.Client{
		"no user":        r.connect("", ""),
		"no password":    r.connect(environment.User, ""),
		"wrong password": r.connect(environment.User, "wrong"),
	} {
		if err := client.XInfoStream(t.Context(), events.StreamName("test", environment.User, 1)).Err(); err == nil ||
			strings.Contains(err.Error(), "no such key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	plain := redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1})
	t.Cleanup(func() { plain.Close() })
	if err := plain.Ping(ctx).Err(); err == nil {
		t.Error("without TLS: no error")
	}
}

func TestWeakRedisPasswordIsRefused(t *testing.T) {
	for name, password := range map[string]string{
		"missing": "", "short": "hunter2", "sed": "aaaaaaaaaaaaaaaaaaaaaaaa/;w x", "two lines": "aaaaaaaaaaaaaaaaaaaaaaaa\nb",
	} {
		dir := t.TempDir()
		for _, user := range append([]string{"operator"}, environment.Services...) {
			if err := os.WriteFile(filepath.Join(dir, "redis-password-"+user), []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "../deploy/redis/start.sh")
		cmd.Env = append(os.Environ(), "APP_ENV=test", "SECRETS="+dir, "TMPDIR="+dir, "REDIS_SERVER=true")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "must be at least 20 letters and digits") ||
			password != "" && strings.Contains(string(out), password) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// Each service has a user, and its password is a secret of deploy/production.yml.
func TestEachServiceHasARedisUser(t *testing.T) {
	acl, err := os.ReadFile("../deploy/redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	compose, err := os.ReadFile("../deploy/production.yml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("../services/*/service.yaml")
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	for _, path := range folders {
		service := filepath.Base(filepath.Dir(path))
		if !strings.Contains(string(acl), "\nuser "+service+" on >@"+service+"@ ") {
			t.Errorf("%s is not in users.acl", service)
		}
		if n := strings.Count(string(compose), "redis-password-"+service); n < 4 {
			t.Errorf("%s: %d of 4 places in production.yml", service, n)
		}
	}
}
