package registry

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/env"
)

// Values of Config.Kind.
const (
	KindStatic = "static" // configured URLs, as they are
	KindDNS    = "dns"    // every address of the configured URL's host
	KindRedis  = "redis"  // instances that announced themselves
)

// Config configures how instances are looked up and checked. The zero value of every field but Kind is its default;
// the zero Kind is static.
type Config struct {
	// Kind is static, dns or redis.
	Kind string `env:"REGISTRY" envDefault:"static" validate:"oneof=static redis dns"`
	// AdvertiseURL is the address at which the other services reach this process, for Announce; http or https.
	AdvertiseURL string `env:"ADVERTISE_URL"`
	// URLs holds a comma list of base URLs for each service name, the content of <NAME>_SERVICE_URL.
	URLs map[string]string

	Prefix            string        // Prefix of the keys in Redis; default "registry".
	CheckInterval     time.Duration // Time between two health checks of a healthy instance; default 30 s.
	CheckTimeout      time.Duration // Longest health check; default 2 s.
	RefreshInterval   time.Duration // Time between two look-ups of a service; default 1 s.
	HeartbeatInterval time.Duration // Time between two heartbeats of an announced instance; default 2 s.
	TTL               time.Duration // Life of an announced instance without a heartbeat; default 6 s.
}

// Deps are the parts a Registry works with; each may be left out but Redis for KindRedis.
type Deps struct {
	Redis redis.UniversalClient
	// Metrics gets the numbers of instances and ejections of each service.
	Metrics prometheus.Registerer
	// Log receives changes of health and of reachability; default: nothing is logged.
	Log *slog.Logger
	// HTTP sends the health checks; the default opens a new connection each time and follows no redirects.
	HTTP *http.Client
	// DNS looks hosts up; the default is the system's resolver.
	DNS *net.Resolver
}

// Validate refuses an AdvertiseURL that others could not call.
func (c Config) Validate() error {
	if c.AdvertiseURL == "" {
		return nil
	}
	if _, err := cleanURL(c.AdvertiseURL); err != nil {
		return env.Invalid("ADVERTISE_URL", "%v", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Kind = orDefault(c.Kind, KindStatic)
	c.Prefix = orDefault(c.Prefix, "registry")
	c.CheckInterval = orDefault(c.CheckInterval, 30*time.Second)
	c.CheckTimeout = orDefault(c.CheckTimeout, 2*time.Second)
	c.RefreshInterval = orDefault(c.RefreshInterval, time.Second)
	c.HeartbeatInterval = orDefault(c.HeartbeatInterval, 2*time.Second)
	c.TTL = orDefault(c.TTL, 6*time.Second)
	return c
}

func (d Deps) withDefaults() Deps {
	d.Log = orDefault(d.Log, slog.New(slog.DiscardHandler))
	d.DNS = orDefault(d.DNS, net.DefaultResolver)
	if d.HTTP == nil {
		d.HTTP = checkClient()
	}
	return d
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
