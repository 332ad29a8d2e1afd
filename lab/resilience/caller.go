package resilience

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// Caller calls the services as another service would: by pkg/serviceclient, which
// finds the instances in Redis.
type Caller struct {
	Users, Orders, Profiles *serviceclient.Client
	// Once places orders with one attempt of 10 s, so that only order-service retries.
	Once     *serviceclient.Client
	Attempts *Attempts
	Registry *registry.Registry

	redis *redis.Client
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// NewCaller starts a caller; [Caller.Close] ends it.
func (s *Stack) NewCaller() (*Caller, error) {
	c := &Caller{}
	signer, err := signer()
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for service := range scale {
		urls[service] = s.urls(service)
	}
	if c.redis, c.Registry, err = s.registry(urls); err != nil {
		return nil, err
	}
	transport := serviceclient.NewTransport()
	c.Attempts = &Attempts{next: transport}
	open := func(service string, cfg serviceclient.Config) *serviceclient.Client {
		return serviceclient.New(service, cfg, serviceclient.Deps{
			Service: contracts.Gateway, Registry: c.Registry, Signer: signer, Transport: c.Attempts,
		})
	}
	c.Users, c.Orders = open(environment.User, serviceclient.Config{}), open(environment.Order, serviceclient.Config{})
	c.Profiles = open(environment.Profile, serviceclient.Config{})
	c.Once = open(environment.Order, serviceclient.Config{
		Timeout: 10 * time.Second, AttemptTimeout: 10 * time.Second, Retries: -1,
	})
	ctx, stop := context.WithCancel(context.Background())
	c.stop = func() { stop(); transport.CloseIdleConnections() }
	c.done.Go(func() { _ = c.Registry.Run(ctx) })
	return c, nil
}

// Quiet silences what the Redis client writes by itself whenever it cannot connect.
func Quiet() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func signer() (*serviceauth.Signer, error) {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(environment.Secret)}, contracts.Gateway, "test")
	if err != nil {
		return nil, err
	}
	return serviceauth.NewSigner(keys, contracts.Gateway), nil
}

// Close ends the caller's registry and its connections.
func (c *Caller) Close() error {
	c.stop()
	c.done.Wait()
	return c.redis.Close()
}

// Sees returns nil once the caller finds so many instances of the service in Redis, has
// checked their health, and ejects none. One of order-service may be unhealthy: it
// reports so for a minute after many refusals.
func (c *Caller) Sees(service string, n int) error {
	usable := 0
	all := c.Registry.Instances(service)
	for _, i := range all {
		checked := i.Health == registry.Healthy || i.Health == registry.Unhealthy && service == environment.Order
		if checked && !i.Ejected && !i.Standby && i.Listed {
			usable++
		}
	}
	if usable != n {
		return fmt.Errorf("%d known instances of %s, want %d: %+v", usable, service, n, all)
	}
	return nil
}

// Register creates a user.
func (c *Caller) Register(ctx context.Context) (contracts.User, error) {
	return serviceclient.Post[contracts.User](ctx, c.Users, "/users", client.NewUser())
}

// LookUp reads the user.
func (c *Caller) LookUp(ctx context.Context, id uuid.UUID) error {
	user, err := serviceclient.Get[contracts.User](ctx, c.Users, "/users/"+id.String())
	if err == nil && user.ID != id {
		err = fmt.Errorf("got user %s, want %s", user.ID, id)
	}
	return err
}

// Place places an order for the user, with a new key.
func Place(ctx context.Context, orders *serviceclient.Client, user uuid.UUID) error {
	key := uuid.NewString()
	_, err := serviceclient.Post[client.Order](ctx, orders, "/orders", order(user, key), serviceclient.WithKey(key))
	return err
}

// order returns the body of an order whose only item is named for the key, so that a
// doubled one is found.
func order(user uuid.UUID, key string) map[string]any {
	return map[string]any{"userId": user, "items": []client.Item{{SKU: key, Quantity: 1, UnitPrice: 1999}}}
}
