package chassis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/httpapi"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
	"github.com/go-troika/troika/pkg/userauth"
)

// Chassis holds the parts of one service. [App.Open] makes and wires it; either Run it
// or Close it.
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

	levels   *logging.Levels
	operator *httpserver.Server // the operator's routes, on the admin port
	admin    *httpserver.Admin
	schemas  []database.Schema
	db       *database.DB
	redis    redis.UniversalClient
	claim    *claim
	outbox   *events.Outbox
	mu       sync.Mutex
	// By target: clients for requests, and for what is read in the background.
	clients, readers map[string]*serviceclient.Client

	relays        bool
	subscriptions *events.Subscriptions // nil if it consumes nothing
	relay         *relay.Relay
	consumer      *consumer.Consumer
	background    []*part
	closers       []closer // in the order of opening
}

// closer is one step of Close.
type closer struct {
	name  string
	close func(context.Context) error
}

// open opens the parts of a service, last opened first closed.
func open(ctx context.Context, cfg Config, out io.Writer, schema fs.FS) (*Chassis, error) {
	c := &Chassis{
		Config: cfg, schemas: schemas(schema),
		clients: map[string]*serviceclient.Client{}, readers: map[string]*serviceclient.Client{},
	}
	c.levels = logging.NewLevels(cfg.Log.Level)
	c.Log = logging.New(out, cfg.Service, c.levels)
	c.Metrics = metrics.New(cfg.Service)
	for _, open := range []func(context.Context) error{c.openTracer, c.openKeys, c.openDatabase, c.openRedis, c.openRegistry} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	c.openHTTP()
	if err := c.openAdmin(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// openTracer also sends OpenTelemetry's own errors, such as an unreachable collector,
// to the log. That is one setting for the whole process.
func (c *Chassis) openTracer(ctx context.Context) (err error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		c.Log.Warn("telemetry failed", "error", err)
	}))
	if c.Tracer, err = tracing.Open(ctx, c.Config.Tracing, c.Config.Service); err != nil {
		return err
	}
	c.onClose("tracing", c.Tracer.Shutdown)
	return nil
}

func (c *Chassis) openKeys(context.Context) error {
	keys, err := serviceauth.ParseKeys(c.Config.Auth, c.Config.Service, c.Config.Env)
	if err != nil {
		return err
	}
	if keys.Shared() && !c.Config.IsDemo() {
		c.Log.Warn("service tokens are signed with a shared secret: each service can sign as any other; set SERVICE_KEY")
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
	db.Observe(c.Metrics)
	c.onClose("database", func(context.Context) error { return db.Close() })
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
	cfg.Env = c.Config.Env
	c.Registry, err = registry.New(cfg, registry.Deps{Redis: c.redis, Log: c.Log, Metrics: c.Metrics.Registry()})
	return err
}

// inFlightPerConnection is the number of requests in flight for each database
// connection; more would only wait for one.
const inFlightPerConnection = 4

func (c *Chassis) openHTTP() {
	cfg := c.Config.HTTP
	if cfg.InFlight == 0 {
		cfg.InFlight = inFlightPerConnection * c.Config.Database.PoolMax
	}
	c.HTTP = httpserver.New(cfg, httpserver.Deps{
		Service: c.Config.Service, Log: c.Log, Tracer: c.Tracer, Metrics: c.Metrics, Verifier: c.Verifier,
	})
	c.HTTP.Ready("database", c.db.Ping)
	c.HTTP.Ready("schema", schemaCheck(c.db, c.schemas))
}

// openAdmin opens what the admin port serves: metrics, profiles, and the operator's
// routes.
func (c *Chassis) openAdmin() error {
	c.operator = httpserver.New(httpserver.Config{HandlerTimeout: httpapi.OperatorTimeout, Audit: true}, httpserver.Deps{
		Service: c.Config.Service, Log: c.Log, Tracer: c.Tracer, Metrics: c.Metrics, Verifier: c.Verifier,
	})
	c.admin = httpserver.NewAdmin(c.Config.adminAddr(), c.Metrics, map[string]http.Handler{
		"/log/": c.operator, "/events/": c.operator, "/openapi.yaml": c.operator, "/docs": c.operator,
	})
	c.operator.Router().Levels("/log/levels", httpserver.Callers(serviceauth.Operator), c.levels)
	return c.operator.Docs(httpapi.OperatorAPI)
}

// Client returns the client for calls to the service target. There is one for
// each target, with one circuit breaker; the first call's cfg counts.
func (c *Chassis) Client(target string, cfg serviceclient.Config) *serviceclient.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client(c.clients, target, cfg)
}

// VerifyUsers accepts the access tokens of people that the service issuer signs. The keys
// are read from issuer, in the background and when a token has an unknown one. Call it in Wire.
func (c *Chassis) VerifyUsers(issuer string) {
	client := c.backgroundClient(issuer)
	keys := userauth.NewRemote(func(ctx context.Context) (userauth.JWKS, error) {
		return serviceclient.Get[userauth.JWKS](ctx, client, userauth.JWKSPath)
	})
	c.HTTP.VerifyUsers(userauth.NewVerifier(issuer, keys))
	c.Background("user keys", keys.Run)
}

// backgroundClient returns the client for reading what no request waits for: event logs, and
// the keys of access tokens. Its breaker is apart from that of Client, and opens for a second.
func (c *Chassis) backgroundClient(target string) *serviceclient.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client(c.readers, target, httpapi.ClientConfig)
}

func (c *Chassis) client(
	clients map[string]*serviceclient.Client, target string, cfg serviceclient.Config,
) *serviceclient.Client {
	if client, ok := clients[target]; ok {
		return client
	}
	client := serviceclient.New(target, cfg, serviceclient.Deps{
		Service: c.Config.Service, Registry: c.Registry, Signer: c.Signer,
		Tracer: c.Tracer, Metrics: c.Metrics, Log: c.Log,
	})
	clients[target] = client
	return client
}

// Close closes the parts, last opened first closed, each within a second, and returns
// all errors. Run does it too; a second time it does nothing.
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

// run returns at the deadline even if close does not: a pool waits for all of its
// connections to be returned.
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

func (c *Chassis) onClose(name string, f func(context.Context) error) {
	c.closers = append(c.closers, closer{name, f})
}
