package registry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

// forge writes entries to the key of user-service as a program with full access could: url -> what ends after d.
func forge(t *testing.T, client *redis.Client, d time.Duration, state string, urls ...string) {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		entry := fmt.Sprintf("%d %s forged", now.Add(d).UnixMilli(), state)
		if err := client.HSet(t.Context(), key, url, entry).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// lookUp returns the instances that a new registry finds, and its metrics.
func lookUp(t *testing.T, client *redis.Client, cfg registry.Config) (instances, metrics []string) {
	t.Helper()
	exposed := prometheus.NewRegistry()
	r := newRegistry(t, cfg, registry.Deps{Redis: client, Metrics: exposed})
	registry.ShortenIntervals(r)
	_, _ = r.GetService(user)
	return urls(r), scrape(exposed)
}

func TestForgedEntriesAreRefused(t *testing.T) {
	t.Parallel()
	const soon, never = 500 * time.Millisecond, 1000 * time.Hour
	for name, write := range map[string]func(*redis.Client){
		"nonsense":                  func(c *redis.Client) { c.HSet(t.Context(), key, "http://10.9.9.9:1", "nonsense") },
		"no URL":                    func(c *redis.Client) { forge(t, c, soon, "up", "not a url") },
		"no state":                  func(c *redis.Client) { forge(t, c, soon, "down", "http://10.9.9.9:1") },
		"lasts for ever":            func(c *redis.Client) { forge(t, c, never, "up", "http://10.9.9.9:1") },
		"lasts longer than the TTL": func(c *redis.Client) { forge(t, c, time.Second, "up", "http://10.9.9.9:1") },
		"a tombstone for ever":      func(c *redis.Client) { forge(t, c, never, "gone", "http://10.9.9.9:1") },
		"an endless number": func(c *redis.Client) {
			c.HSet(t.Context(), key, "http://10.9.9.9:1", strings.Repeat("9", 400)+" up x")
		},
		"a health path":  func(c *redis.Client) { forge(t, c, soon, "up /users", "http://10.9.9.9:1") },
		"metadata":       func(c *redis.Client) { forge(t, c, soon, "up", "http://169.254.169.254") },
		"another system": func(c *redis.Client) { forge(t, c, soon, "up", "https://attacker.example") },
		"with a user":    func(c *redis.Client) { forge(t, c, soon, "up", "http://user-service@attacker.example") },
		"a long URL":     func(c *redis.Client) { forge(t, c, soon, "up", "http://10.9.9.9:1/"+strings.Repeat("x", 600)) },
	} {
		t.Run(name, func(t *testing.T) {
			client := testkit.Redis(t)
			announced(t, client, a)
			write(client)
			instances, metrics := lookUp(t, client, redisConfig())
			if !slices.Equal(instances, []string{a}) {
				t.Errorf("instances: %v", instances)
			}
			if want := `registry_refused_total{service="user-service"} 1`; !slices.Contains(metrics, want) {
				t.Errorf("no %s in\n%s", want, strings.Join(metrics, "\n"))
			}
		})
	}
}

// What no instance can have written does not stay for ever.
func TestForgedEntriesAreDeleted(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	client.HSet(t.Context(), key, "http://10.9.9.9:1", "nonsense")
	forge(t, client, 1000*time.Hour, "up", "http://10.9.9.9:2")
	announced(t, client, a)
	fields, err := client.HKeys(t.Context(), key).Result()
	if err != nil || !slices.Equal(fields, []string{a}) {
		t.Errorf("in Redis: %v, %v", fields, err)
	}
}

// An entry cannot choose where the health check is sent.
func TestHealthPathIsTheReaders(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	f := &paths{}
	announced(t, client, a)
	reader := quick(t, registry.Deps{Redis: client, HTTP: &http.Client{Transport: f}})
	if _, err := reader.GetService(user); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, reader.Run)
	eventually(t, "it is checked", func() bool { return len(f.seen()) > 0 })
	if seen := f.seen(); seen[0] != "/health" {
		t.Errorf("checked: %v", seen)
	}
}

// paths is a transport that keeps the paths of requests.
type paths struct {
	mu  sync.Mutex
	all []string
}

func (p *paths) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.all = append(p.all, req.URL.Path)
	p.mu.Unlock()
	return fine(req)
}

func (p *paths) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

func TestAtMost64Instances(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	var many []string
	for n := range 100 {
		many = append(many, fmt.Sprintf("http://10.0.1.%d:8081", n))
	}
	forge(t, client, 550*time.Millisecond, "up", many...)
	instances, metrics := lookUp(t, client, redisConfig())
	if len(instances) != 64 {
		t.Errorf("%d instances", len(instances))
	}
	if want := `registry_refused_total{service="user-service"} 36`; !slices.Contains(metrics, want) {
		t.Errorf("no %s in\n%s", want, strings.Join(metrics, "\n"))
	}
}

// Two environments on one Redis do not find each other.
func TestEnvironmentsAreApart(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	announced(t, client, a)
	cfg := redisConfig()
	cfg.Env = "production"
	if instances, _ := lookUp(t, client, cfg); len(instances) != 0 {
		t.Errorf("production finds %v", instances)
	}
}

func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	forge(t, client, time.Hour, "gone", "http://10.9.9.9:1")
	var log syncBuffer
	reader := quick(t, registry.Deps{Redis: client, Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, _ = reader.GetService(user)
	testkit.Run(t, reader.Run)
	eventually(t, "refused is logged", func() bool { return strings.Contains(log.String(), "registry entries refused") })
	throughout(t, 300*time.Millisecond, "one line", func() bool { return strings.Count(log.String(), "refused") == 1 })
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed string
		yes, no []string
	}{
		{
			"",
			[]string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "[::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "localhost",
				"user-service", "User-Service", "troika_user-service_1"},
			[]string{"8.8.8.8", "172.32.0.1", "169.254.169.254", "0.0.0.0", "[2001:db8::1]", "[fe80::1]", "[::ffff:8.8.8.8]",
				"134744072", "0x08080808", "example.com", "localhost.", "user-service.", "[fd00::1%25eth0]"},
		},
		{
			"203.0.113.0/24,.Internal , 2001:db8::/32",
			[]string{"203.0.113.9", "a.internal", "A.B.internal", "user-service", "[2001:db8::7]"},
			[]string{"10.0.0.1", "127.0.0.1", "internal.example", "notinternal.com", "a.internal.example", "8.8.8.8.xinternal"},
		},
		{".svc.cluster.local", []string{"user-service.shop.svc.cluster.local"}, []string{"svc.cluster.local.evil.example", "10.0.0.1"}},
	} {
		cfg := registry.Config{Kind: registry.KindRedis}
		if c.allowed != "" {
			cfg.Allowed = strings.Split(c.allowed, ",")
		}
		for _, host := range c.yes {
			if err := cfg.CheckAdvertised("http://" + host + ":8081"); err != nil {
				t.Errorf("%q: %s: %v", c.allowed, host, err)
			}
		}
		for _, host := range c.no {
			if err := cfg.CheckAdvertised("http://" + host + ":8081"); err == nil {
				t.Errorf("%q: %s is allowed", c.allowed, host)
			}
		}
	}
}

func TestAllowedFromTheEnvironment(t *testing.T) {
	t.Parallel()
	for want, environ := range map[string][]string{
		"": {"REGISTRY_ALLOWED=203.0.113.0/24", "ADVERTISE_URL=http://203.0.113.7:8081"},
		`REGISTRY_ALLOWED: ["10.0.0.1" "*.x"]: neither a network such as 10.0.0.0/8 nor a host suffix such as .internal`: {
			"REGISTRY_ALLOWED=10.0.0.1,.y,*.x"},
		`ADVERTISE_URL: host "8.8.8.8" is outside of REGISTRY_ALLOWED`: {"ADVERTISE_URL=http://8.8.8.8:8081"},
	} {
		_, err := env.Load[registry.Config](append(environ, "REGISTRY=redis"))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("%v (-want +got):\n%s", environ, diff)
		}
	}
}

func TestAnnounceOutsideOfTheAllowedHosts(t *testing.T) {
	t.Parallel()
	client := testkit.Redis(t)
	r := quick(t, registry.Deps{Redis: client})
	if err := r.Announce(t.Context(), user, "http://8.8.8.8:8081"); err == nil {
		t.Error("it is announced")
	}
	if n := client.Exists(t.Context(), key).Val(); n != 0 {
		t.Error("it is written")
	}
}
