package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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
// instance that is not known to be unhealthy. That error's text is "service <name> not available".
var ErrNotAvailable = errors.New("not available")

func notAvailable(name string) error { return fmt.Errorf("service %s %w", name, ErrNotAvailable) }

// Registry finds a healthy instance of a service. It is safe for concurrent use.
type Registry struct {
	cfg      Config
	deps     Deps
	resolver resolver      // nil when addresses never change by themselves
	wake     chan struct{} // has the checker look for due checks now

	refreshInterval   time.Duration // between two look-ups of a service
	heartbeatInterval time.Duration // between two heartbeats of an announced instance
	ttl               time.Duration // life of an announced instance without a heartbeat

	mu    sync.Mutex // guards what follows, and all pools with their instances
	pools map[string]*pool
	self  *announcement // nil unless announced
}

// New returns a registry that knows cfg.URLs and serves at once; Run keeps it up to date. It makes no connection. It
// fails on an unknown kind, a malformed URL, or a missing Redis client for KindRedis.
func New(cfg Config, deps Deps) (*Registry, error) {
	deps.Log = cmp.Or(deps.Log, slog.New(slog.DiscardHandler))
	deps.DNS = cmp.Or(deps.DNS, net.DefaultResolver)
	deps.HTTP = cmp.Or(deps.HTTP, checkClient)
	r := &Registry{
		cfg: cfg, deps: deps, wake: make(chan struct{}, 1), pools: make(map[string]*pool),
		refreshInterval: time.Second, heartbeatInterval: 2 * time.Second, ttl: 6 * time.Second,
	}
	configured, err := cfg.endpoints()
	if err != nil {
		return nil, err
	}
	allowed, err := parseHosts(cfg.Allowed)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	switch cfg.Kind {
	case KindStatic, "":
	case KindDNS:
		r.resolver = dnsResolver{configured: configured, dns: deps.DNS}
	case KindRedis:
		if deps.Redis == nil {
			return nil, errors.New("registry: kind redis needs a Redis client")
		}
		r.resolver = redisResolver{r, allowed}
	default:
		return nil, fmt.Errorf("registry: unknown kind %q", cfg.Kind)
	}
	for name, endpoints := range configured {
		for _, e := range endpoints {
			inst := r.pool(name).put(e)
			inst.reserve, inst.fixed = r.resolver != nil, r.resolver == nil
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
	e, err := newEndpoint(name, url, optional(healthEndpoint))
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.pool(name).put(e).fixed = true
	r.mu.Unlock()
	r.wakeChecker()
	r.deps.Log.Info("service registered", slog.String("target", name), slog.String("url", e.url))
	return nil
}

// optional returns the health endpoint that was given, or the default.
func optional(healthEndpoint []string) string {
	if len(healthEndpoint) == 0 {
		return DefaultHealthEndpoint
	}
	return cmp.Or(healthEndpoint[0], DefaultHealthEndpoint)
}

// Instances lists what is known of service name, in order of URL; it looks nothing up.
func (r *Registry) Instances(name string) []Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[name]
	if p == nil {
		return nil
	}
	now := time.Now()
	var list []Instance
	for _, inst := range p.members {
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
		wg.Go(func() { every(ctx, r.refreshInterval, r.refreshAll) })
	}
	if r.cfg.Kind == KindRedis {
		wg.Go(func() { every(ctx, r.heartbeatInterval, r.heartbeat) })
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

// jittered is d give or take a tenth, so that many callers do not ask in step.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// pool returns the pool of name, made when there is none. r.mu is held.
func (r *Registry) pool(name string) *pool {
	if r.pools[name] == nil {
		r.pools[name] = &pool{name: name, watches: map[*watch]bool{}}
	}
	return r.pools[name]
}

// find returns the pool of name, an empty one if it is unknown. With KindRedis, the first use of a new name looks it
// up.
func (r *Registry) find(name string) *pool {
	r.mu.Lock()
	p := r.pools[name]
	if p == nil && (r.cfg.Kind != KindRedis || !env.IsServiceName(name)) {
		r.mu.Unlock()
		return &pool{}
	}
	p = r.pool(name)
	isNew := r.resolver != nil && len(p.members) == 0
	r.mu.Unlock()
	if isNew {
		p.first.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), firstLookup)
			defer cancel()
			r.refresh(ctx, p)
		})
	}
	return p
}

func (r *Registry) wakeChecker() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
