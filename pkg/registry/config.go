package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

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

// Config says where instances are found.
type Config struct {
	// Kind is static, dns or redis; "" is static.
	Kind string `env:"REGISTRY" envDefault:"static" validate:"oneof=static redis dns"`
	// AdvertiseURL is the address at which the other services reach this process, for Announce; http or https.
	AdvertiseURL string `env:"ADVERTISE_URL"`
	// Allowed lists the networks (CIDRs) and the suffixes of host names (beginning with a dot) of the hosts at which
	// registered instances may be, with KindRedis; by default all private and loopback addresses. A name without a dot
	// is always allowed. Other entries are refused.
	Allowed []string `env:"REGISTRY_ALLOWED"`
	// Env is the environment, with which keys in Redis begin. It is set by the service.
	Env string
	// URLs holds a comma list of base URLs for each service name, the content of <NAME>_SERVICE_URL.
	URLs map[string]string
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

// Validate refuses an AdvertiseURL that others could not call, or would not, and malformed items of Allowed.
func (c Config) Validate() error {
	if _, err := parseHosts(c.Allowed); err != nil {
		return env.Invalid("REGISTRY_ALLOWED", "%v", err)
	}
	if c.AdvertiseURL == "" {
		return nil
	}
	if _, err := cleanURL(c.AdvertiseURL); err != nil {
		return env.Invalid("ADVERTISE_URL", "%v", err)
	}
	return c.CheckAdvertised(c.AdvertiseURL)
}

// CheckAdvertised returns an error if other instances with this configuration would refuse to call url.
func (c Config) CheckAdvertised(url string) error {
	allowed, err := parseHosts(c.Allowed)
	if err == nil && c.Kind == KindRedis {
		err = allowed.checkURL(url)
	}
	if err != nil {
		return env.Invalid("ADVERTISE_URL", "%v", err)
	}
	return nil
}

// endpoints splits and checks the comma list of every service; all problems are reported.
func (c Config) endpoints() (map[string][]endpoint, error) {
	lists := make(map[string][]endpoint, len(c.URLs))
	var errs []error
	for name, list := range c.URLs {
		for raw := range strings.SplitSeq(list, ",") {
			if raw = strings.TrimSpace(raw); raw == "" {
				continue
			}
			e, err := newEndpoint(name, raw, DefaultHealthEndpoint)
			errs = append(errs, err)
			lists[name] = append(lists[name], e)
		}
	}
	return lists, errors.Join(errs...)
}

// CheckURLs reports what is wrong with a comma list of base URLs, such as those of
// [Config.URLs]; an empty list is correct.
func CheckURLs(list string) error {
	for raw := range strings.SplitSeq(list, ",") {
		if raw = strings.TrimSpace(raw); raw != "" {
			if _, err := cleanURL(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// endpoint is one address of a service and the path of its health check.
type endpoint struct{ url, health string }

func newEndpoint(name, rawURL, health string) (endpoint, error) {
	if !env.IsServiceName(name) {
		return endpoint{}, fmt.Errorf("registry: malformed service name %q", name)
	}
	base, err := cleanURL(rawURL)
	if err != nil {
		return endpoint{}, fmt.Errorf("registry: %s: %w", name, err)
	}
	control := func(c rune) bool { return c <= ' ' || c == 0x7f }
	if !strings.HasPrefix(health, "/") || strings.ContainsFunc(health, control) {
		return endpoint{}, fmt.Errorf("registry: %s: malformed health endpoint %q", name, health)
	}
	return endpoint{url: base, health: health}, nil
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
