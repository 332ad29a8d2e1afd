package chassis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
)

// Chassis holds the parts of one service. Make it with Open; wire the service
// to its fields; Run it; Close it in any case.
type Chassis struct {
	Config   Config
	Log      *slog.Logger
	DB       *gorm.DB
	HTTP     *httpserver.Server
	Verifier *serviceauth.Verifier
	Signer   *serviceauth.Signer
	Tracer   *tracing.Tracer
	Metrics  *metrics.Metrics
	Registry *registry.Registry

	operate  *httpserver.Server // the admin port's routes for people
	admin    *httpserver.Admin
	db       *database.DB
	redis    redis.UniversalClient
	outbox   *events.Outbox
	mu       sync.Mutex
	clients  map[string]*serviceclient.Client
	logs     map[string]*serviceclient.Client // of producers, by name
	relay    *relay.Relay
	consumer *consumer.Consumer
	operator *admin.Operator
	more     []*part  // of the service's own
	closers  []closer // in the order of opening
}

// closer is what Close has to do.
type closer struct {
	name  string
	close func(context.Context) error
}

// Open opens the parts of a service. out gets the log; schema holds the
// service's migrations. Neither Postgres nor Redis needs to be there: the
// service starts without them and is ready (/readyz) once its database answers
// and has been migrated. The error is about the configuration.
func Open(ctx context.Context, cfg Config, out io.Writer, schema fs.FS) (*Chassis, error) {
	c := &Chassis{Config: cfg, clients: map[string]*serviceclient.Client{}, logs: map[string]*serviceclient.Client{}}
	c.Log = logging.New(out, cfg.Service, cfg.Log.Level)
	c.Metrics = metrics.New(cfg.Service)
	for _, open := range []func(context.Context) error{c.openTracer, c.openKeys, c.openDatabase, c.openRedis, c.openRegistry} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	c.openHTTP(schema)
	return c, c.openAdmin()
}

// openTracer also has what OpenTelemetry complains of, such as a receiver that is
// away, end in the log. It can do that only for the process as a whole.
func (c *Chassis) openTracer(ctx context.Context) (err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		c.Log.Warn("telemetry failed", "error", err)
	}))
	if c.Tracer, err = tracing.Open(ctx, c.Config.Tracing, c.Config.Service); err != nil {
		return err
	}
	c.closeLater("tracing", c.Tracer.Shutdown)
	return nil
}

func (c *Chassis) openKeys(context.Context) error {
	keys, err := serviceauth.ParseKeys(c.Config.Auth, c.Config.Env)
	if err != nil {
		return err
	}
	c.Signer = serviceauth.NewSigner(keys, c.Config.Service)
	c.Verifier = serviceauth.NewVerifier(keys, c.Config.Service)
	return nil
}

func (c *Chassis) openDatabase(ctx context.Context) error {
	db, err := c.openPool(ctx, c.Config.Database)
	if err != nil {
		return err
	}
	c.db, c.DB = db, db.Gorm
	return observePool(c.Metrics.Registry(), db)
}

// openPool opens a pool of the service's database, from which it can publish.
func (c *Chassis) openPool(ctx context.Context, cfg database.Config) (*database.DB, error) {
	name := database.Name(c.Config.Service, c.Config.Env)
	db, err := database.Open(ctx, cfg, name)
	if err != nil {
		return nil, err
	}
	c.closeLater("database", func(context.Context) error { return db.Close() })
	if c.outbox == nil {
		c.outbox = events.NewOutbox(c.Config.Service)
	}
	if err := db.Gorm.Use(c.outbox); err != nil {
		return nil, fmt.Errorf("install outbox: %w", err)
	}
	return db, nil
}

func (c *Chassis) openRegistry(context.Context) (err error) {
	cfg := c.Config.Registry
	cfg.URLs = c.Config.Peers.URLs()
	c.Registry, err = registry.New(cfg, registry.Deps{Redis: c.redis, Log: c.Log, Metrics: c.Metrics.Registry()})
	return err
}

// inFlightPerConnection is how many requests are let in for each database
// connection; more would only wait.
const inFlightPerConnection = 4

func (c *Chassis) openHTTP(schema fs.FS) {
	cfg := c.Config.HTTP
	if cfg.InFlight == 0 {
		cfg.InFlight = inFlightPerConnection * c.Config.Database.PoolMax
	}
	c.HTTP = httpserver.New(cfg, httpserver.Deps{
		Service: c.Config.Service, Log: c.Log, Tracer: c.Tracer, Metrics: c.Metrics, Verifier: c.Verifier,
	})
	c.HTTP.Ready("database", c.db.Ping)
	c.HTTP.Ready("schema", schemaCheck(c.db, schemas(schema)))
}

// Client gives the client for calls to the service target. There is one for
// each target, with one circuit breaker; the first call's cfg counts.
func (c *Chassis) Client(target string, cfg serviceclient.Config) *serviceclient.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client(c.clients, target, cfg)
}

// client returns the client of a target among those of one purpose.
func (c *Chassis) client(among map[string]*serviceclient.Client, target string, cfg serviceclient.Config) *serviceclient.Client {
	if client, ok := among[target]; ok {
		return client
	}
	client := serviceclient.New(target, cfg, serviceclient.Deps{
		Service: c.Config.Service, Registry: c.Registry, Signer: c.Signer,
		Tracer: c.Tracer, Metrics: c.Metrics, Log: c.Log,
	})
	among[target] = client
	return client
}

// Close closes what Open has opened, last opened first closed, each within a
// second, and gives all errors. After Run there is nothing left to do for it.
func (c *Chassis) Close() error {
	var errs []error
	for i := len(c.closers) - 1; i >= 0; i-- {
		if err := c.closers[i].run(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.closers[i].name, err))
		}
	}
	c.closers = nil
	return errors.Join(errs...)
}

// run does not wait for what does not heed its deadline: a pool waits for its
// connections, whoever holds them.
func (c closer) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.close(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not within %v", closeTime)
	}
}

func (c *Chassis) closeLater(name string, f func(context.Context) error) {
	c.closers = append(c.closers, closer{name, f})
}
