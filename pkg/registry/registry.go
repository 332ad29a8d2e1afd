package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-troika/troika/pkg/env"
)

// DefaultHealthEndpoint is the path asked by health checks unless a registration names another.
const DefaultHealthEndpoint = "/health"

// firstLookup bounds the only look-up a caller ever waits for: the first one of a name that was not configured.
const firstLookup = time.Second

// ErrNotAvailable is matched by the error of GetService and Pick for a name never registered or without any
// instance that is not known to be unhealthy. The error's own text is "service <name> not available".
var ErrNotAvailable = errors.New("service not available")

// Registry finds a healthy instance of a service. It is safe for concurrent use.
type Registry struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	resolver resolver      // nil when addresses never change by themselves
	wake     chan struct{} // asks the checker to look for due checks now

	mu    sync.RWMutex
	pools map[string]*pool
	self  *announcement // nil unless announced
}

// New returns a registry that knows cfg.URLs and serves at once; Run keeps it up to date. It makes no connection. It
// fails on an unknown kind, a malformed URL, or a missing Redis client for KindRedis.
func New(cfg Config, deps Deps) (*Registry, error) {
	cfg, deps = cfg.withDefaults(), deps.withDefaults()
	r := &Registry{cfg: cfg, deps: deps, log: deps.Log, wake: make(chan struct{}, 1), pools: make(map[string]*pool)}
	urls, err := configured(cfg.URLs)
	if err != nil {
		return nil, err
	}
	switch cfg.Kind {
	case KindStatic:
	case KindDNS:
		r.resolver = dnsResolver{urls: urls, dns: deps.DNS}
	case KindRedis:
		if deps.Redis == nil {
			return nil, errors.New("registry: kind redis needs a Redis client")
		}
		r.resolver = redisResolver{client: deps.Redis, prefix: cfg.Prefix}
	default:
		return nil, fmt.Errorf("registry: unknown kind %q", cfg.Kind)
	}
	for name, list := range urls {
		p := r.pool(name)
		for _, u := range list {
			p.add(endpoint{url: u, health: DefaultHealthEndpoint}, r.configuredOrigin())
		}
	}
	if deps.Metrics != nil {
		if err := deps.Metrics.Register(collector{r}); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	return r, nil
}

// Register adds an instance of service name at url by hand. healthEndpoint is the path of its health check,
// DefaultHealthEndpoint unless given. The instance is unknown until first checked and is never forgotten.
// Registering the same url again changes only its health endpoint. It fails on a malformed name, url or endpoint.
func (r *Registry) Register(name, url string, healthEndpoint ...string) error {
	e, err := newEndpoint(name, url, healthEndpoint)
	if err != nil {
		return err
	}
	r.pool(name).add(e, byHand)
	r.wakeChecker()
	r.log.Info("service registered", slog.String("target", name), slog.String("url", e.url))
	return nil
}

// Instance is what the registry believes of one instance at one moment.
type Instance struct {
	URL      string
	Health   Health
	Ejected  bool // kept out after consecutive failures
	Listed   bool // in the latest answer of DNS or Redis; always true for configured and hand-registered ones
	Standby  bool // configured, used only while no found instance is usable
	InFlight int  // leases not yet done
}

// Instances lists what is known of service name, in order of URL; it looks nothing up.
func (r *Registry) Instances(name string) []Instance {
	r.mu.RLock()
	p := r.pools[name]
	r.mu.RUnlock()
	if p == nil {
		return nil
	}
	now := time.Now()
	var list []Instance
	for _, inst := range p.all() {
		list = append(list, inst.snapshot(now))
	}
	slices.SortFunc(list, func(a, b Instance) int { return strings.Compare(a.URL, b.URL) })
	return list
}

// Run keeps the registry up to date until ctx is done: health checks, refreshes from DNS or Redis, and the
// heartbeat of an announced instance. It always returns nil: trouble is logged and leaves the last known in place.
// Call it once.
func (r *Registry) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.runChecks(ctx) })
	if r.resolver != nil {
		wg.Go(func() { every(ctx, r.cfg.RefreshInterval, r.refreshAll) })
	}
	if r.cfg.Kind == KindRedis {
		wg.Go(func() { every(ctx, r.cfg.HeartbeatInterval, r.heartbeat) })
	}
	wg.Wait()
	return nil
}

// every calls do now and then after each interval, give or take a tenth.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	for ctx.Err() == nil {
		do(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(jittered(interval)):
		}
	}
}

// pool returns the pool of name, made when there is none.
func (r *Registry) pool(name string) *pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[name]
	if p == nil {
		p = newPool(name)
		r.pools[name] = p
	}
	return p
}

// find returns the pool of name, or nil. In a registry that can look names up, the first use of a new name does.
func (r *Registry) find(name string) *pool {
	r.mu.RLock()
	p := r.pools[name]
	r.mu.RUnlock()
	if p == nil && r.cfg.Kind == KindRedis && env.IsServiceName(name) {
		p = r.pool(name)
	}
	if p != nil && r.resolver != nil {
		p.first.Do(func() {
			if len(p.all()) > 0 {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), firstLookup)
			defer cancel()
			r.refresh(ctx, p)
		})
	}
	return p
}

func (r *Registry) configuredOrigin() origin {
	if r.resolver != nil {
		return standby
	}
	return byHand
}

func (r *Registry) wakeChecker() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// configured splits and checks the comma list of every service; all problems are reported.
func configured(lists map[string]string) (map[string][]string, error) {
	urls := make(map[string][]string, len(lists))
	var errs []error
	for name, list := range lists {
		for raw := range strings.SplitSeq(list, ",") {
			if raw = strings.TrimSpace(raw); raw == "" {
				continue
			}
			e, err := newEndpoint(name, raw, nil)
			errs = append(errs, err)
			urls[name] = append(urls[name], e.url)
		}
	}
	return urls, errors.Join(errs...)
}

// endpoint is one address of a service and the path of its health check.
type endpoint struct{ url, health string }

func newEndpoint(name, rawURL string, health []string) (endpoint, error) {
	if !env.IsServiceName(name) {
		return endpoint{}, fmt.Errorf("registry: malformed service name %q", name)
	}
	u, err := cleanURL(rawURL)
	if err != nil {
		return endpoint{}, fmt.Errorf("registry: %s: %w", name, err)
	}
	e := endpoint{url: u, health: DefaultHealthEndpoint}
	if len(health) > 0 && health[0] != "" {
		e.health = health[0]
	}
	if !validPath(e.health) {
		return endpoint{}, fmt.Errorf("registry: %s: malformed health endpoint %q", name, e.health)
	}
	return e, nil
}

func validPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// cleanURL returns raw as a base URL, to which a path can be appended.
func cleanURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", errors.New("not an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("a base URL has no user, query or fragment")
	}
	return u.String(), nil
}
