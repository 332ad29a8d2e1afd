package database

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/env"
)

// DemoPassword is the password of the demo's databases. A service refuses it
// outside development and test.
const DemoPassword = "troika-demo"

// Config configures the connection pool of a database.
type Config struct {
	// Host may be several, separated by commas: the one that takes writes is used.
	Host     string     `env:"DB_HOST" envDefault:"127.0.0.1" validate:"required"`
	Port     int        `env:"DB_PORT" envDefault:"5432" validate:"min=1,max=65535"`
	User     string     `env:"DB_USER" validate:"required"`
	Password env.Secret `env:"DB_PASSWORD"`
	SSLMode  string     `env:"DB_SSLMODE" envDefault:"prefer" validate:"oneof=disable allow prefer require verify-ca verify-full"`

	// PoolMax is the most connections the pool opens, PoolMin how many it
	// keeps when idle.
	PoolMax int `env:"DB_POOL_MAX" envDefault:"5" validate:"min=1,max=1000"`
	PoolMin int `env:"DB_POOL_MIN" envDefault:"1" validate:"min=0,max=1000"`
	// PoolAcquire bounds the wait for a free connection, besides the
	// caller's own deadline.
	PoolAcquire time.Duration `env:"DB_POOL_ACQUIRE" envDefault:"1s" validate:"min=1ms,max=30s"`
	// PoolIdle is how long a connection above PoolMin stays open unused.
	PoolIdle time.Duration `env:"DB_POOL_IDLE" envDefault:"10s" validate:"min=1s"`
	// Statements is what a connection keeps of the statements that it has sent:
	// prepared ones, or only their descriptions, for a transaction pooler that does
	// not know prepared statements.
	Statements string `env:"DB_STATEMENT_CACHE" envDefault:"prepared" validate:"oneof=prepared described"`
}

// Validate reports what field tags cannot express.
func (c Config) Validate() error {
	if c.PoolMax > 0 && c.PoolMin > c.PoolMax {
		return env.Invalid("DB_POOL_MIN", "is %d, more than DB_POOL_MAX (%d)", c.PoolMin, c.PoolMax)
	}
	return nil
}

// Name is the database of a service in an environment:
// Name("user-service", "development") is "user_service_development".
func Name(service, appEnv string) string {
	return strings.ReplaceAll(service+"_"+appEnv, "-", "_")
}

func (c Config) execMode() pgx.QueryExecMode {
	if c.Statements == "described" {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeCacheStatement
}

// url is the connection string of the database called name.
func (c Config) url(name string) string {
	var hosts []string
	for host := range strings.SplitSeq(c.Host, ",") {
		hosts = append(hosts, net.JoinHostPort(strings.TrimSpace(host), strconv.Itoa(c.Port)))
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(c.User, c.Password.Reveal()),
		Host:     strings.Join(hosts, ","),
		Path:     "/" + name,
		RawQuery: url.Values{"sslmode": {c.SSLMode}, "target_session_attrs": {"read-write"}}.Encode(),
	}
	return u.String()
}
