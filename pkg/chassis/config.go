package chassis

import (
	"errors"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Config is what all services read from the environment. A service embeds it in
// its own.
type Config struct {
	// Service is the service's name in tokens, events, logs and the name of its
	// database.
	Service string `env:"SERVICE_NAME" validate:"required"`
	// Env is the environment. Demo credentials are refused outside development
	// and test.
	Env string `env:"APP_ENV" envDefault:"production"`
	// AdminPort serves metrics and profiles without authentication: do not expose it.
	AdminPort int        `env:"ADMIN_PORT" validate:"min=0,max=65535"`
	RedisURL  env.Secret `env:"REDIS_URL" envDefault:"redis://127.0.0.1:6379"`
	// RedisPassword is the password of the user in RedisURL, unless RedisURL has it.
	RedisPassword env.Secret `env:"REDIS_PASSWORD"`
	// RedisCA holds the certificates, in PEM format, of the CAs of a rediss URL;
	// default: those of the system.
	RedisCA env.Secret `env:"REDIS_CA"`
	// DrainDelay is how long a stopping service goes on serving after it became
	// unready and deregistered: at least twice the time in which callers notice.
	DrainDelay time.Duration `env:"DRAIN_DELAY" envDefault:"2s" validate:"min=0,max=10s"`

	HTTP     httpserver.Config
	Database database.Config
	Auth     serviceauth.Config
	Registry registry.Config
	Events   events.Config
	Keys     idempotency.Config
	Log      logging.Config
	Tracing  tracing.Config
}

var envName = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}$`)

// Validate checks fields that depend on each other.
func (c Config) Validate() error {
	var errs []error
	if c.Service != "" && !env.IsServiceName(c.Service) {
		errs = append(errs, env.Invalid("SERVICE_NAME",
			"must be lower-case words of letters and digits, joined by hyphens, at most 40 characters"))
	}
	if c.Service == serviceauth.Operator {
		errs = append(errs, env.Invalid("SERVICE_NAME", "is the name of the operator, whose tokens may act on events"))
	}
	if !envName.MatchString(c.Env) {
		errs = append(errs, env.Invalid("APP_ENV", "must be lower-case letters and digits, at most 20"))
	}
	if c.HTTP.Port != 0 && c.HTTP.Port == c.AdminPort {
		errs = append(errs, env.Invalid("ADMIN_PORT", "is the same as PORT"))
	}
	if _, err := c.redisOptions(); err != nil {
		errs = append(errs, err)
	}
	if !c.IsDemo() && c.Database.Password.Reveal() == database.DemoPassword {
		errs = append(errs, env.Invalid("DB_PASSWORD", "is the demo's, which is public"))
	}
	url, noAddress := c.advertised("")
	if noAddress == nil && c.Registry.AdvertiseURL == "" {
		noAddress = c.Registry.CheckAdvertised(url)
	}
	_, badKeys := serviceauth.ParseKeys(c.Auth, c.Service, c.Env)
	return errors.Join(append(errs, noAddress, badKeys)...)
}

// IsDemo reports whether the public demo credentials are accepted.
func (c Config) IsDemo() bool { return c.Env == "development" || c.Env == "test" }

func (c Config) adminAddr() string { return net.JoinHostPort(c.HTTP.Host, strconv.Itoa(c.AdminPort)) }
