package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const user = "user-service"

func newRegistry(t *testing.T, cfg registry.Config, deps registry.Deps) *registry.Registry {
	t.Helper()
	r, err := registry.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// static returns a registry of one service at the given URLs.
func static(t *testing.T, urls ...string) *registry.Registry {
	t.Helper()
	return newRegistry(t, registry.Config{URLs: map[string]string{user: strings.Join(urls, ",")}}, registry.Deps{})
}

func TestGetService(t *testing.T) {
	t.Parallel()
	r := static(t, "http://10.0.0.1:8081/", " http://10.0.0.2:8081")
	seen := map[string]bool{}
	for range 100 {
		url, err := r.GetService(user)
		if err != nil {
			t.Fatal(err)
		}
		seen[url] = true
	}
	want := map[string]bool{"http://10.0.0.1:8081": true, "http://10.0.0.2:8081": true}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestNeverRegistered(t *testing.T) {
	t.Parallel()
	r := static(t, "http://10.0.0.1:8081")
	_, err := r.GetService("order-service")
	if err == nil || err.Error() != "service order-service not available" || !errors.Is(err, registry.ErrNotAvailable) {
		t.Errorf("GetService: %v", err)
	}
	if _, err := r.Pick("order-service"); !errors.Is(err, registry.ErrNotAvailable) {
		t.Errorf("Pick: %v", err)
	}
}

func TestRegisterByHand(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Config{}, registry.Deps{})
	for range 2 { // the second changes nothing
		if err := r.Register(user, "http://10.0.0.1:8081"); err != nil {
			t.Fatal(err)
		}
	}
	if url, err := r.GetService(user); url != "http://10.0.0.1:8081" || err != nil {
		t.Errorf("GetService = %q, %v", url, err)
	}
	want := []registry.Instance{{URL: "http://10.0.0.1:8081", Health: registry.Unknown, Listed: true}}
	if diff := cmp.Diff(want, r.Instances(user)); diff != "" {
		t.Error(diff)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Config{}, registry.Deps{})
	for _, c := range []struct{ name, service, url, health string }{
		{"no scheme", user, "10.0.0.1:8081", ""},
		{"other scheme", user, "ftp://10.0.0.1", ""},
		{"no host", user, "http://", ""},
		{"password", user, "http://a:b@10.0.0.1", ""},
		{"query", user, "http://10.0.0.1/?a=b", ""},
		{"empty", user, "", ""},
		{"name", "User Service", "http://10.0.0.1", ""},
		{"key injection", "a}:{b", "http://10.0.0.1", ""},
		{"health without slash", user, "http://10.0.0.1", "health"},
		{"health with space", user, "http://10.0.0.1", "/he alth"},
	} {
		if err := r.Register(c.service, c.url, c.health); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]registry.Config{
		"unknown kind":         {Kind: "zookeeper"},
		"redis without client": {Kind: registry.KindRedis},
		"malformed URL":        {URLs: map[string]string{user: "http://ok:1,nonsense"}},
	} {
		if _, err := registry.New(cfg, registry.Deps{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Parallel()
	cfg, err := env.Load[registry.Config]([]string{"REGISTRY=redis", "ADVERTISE_URL=http://10.0.0.1:8081"})
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Config{Kind: registry.KindRedis, AdvertiseURL: "http://10.0.0.1:8081"}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
	_, err = env.Load[registry.Config]([]string{"REGISTRY=etcd", "ADVERTISE_URL=here"})
	if problems, ok := errors.AsType[*env.Error](err); !ok || len(problems.Problems) != 2 {
		t.Errorf("want two problems, got: %v", err)
	}
}
