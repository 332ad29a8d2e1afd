package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/testkit"
)

// Cooldown of order-service's breaker here; 30 s otherwise.
const Cooldown = time.Second

// Pool is how many database connections each service has here, and InFlight how
// many requests it therefore admits at a time.
const (
	Pool     = 10
	InFlight = 4 * Pool
)

var scale = map[string]int{environment.User: 3, environment.Order: 2, environment.Profile: 2}

// Part is one process of the stack.
type Part = driver.Part

// Stack is a system of local processes.
type Stack struct {
	*driver.Stack
	Redis *testkit.Proxy // between the services and Redis
}

// Open starts three instances of user-service and two of each other service.
func Open(ctx context.Context, command, name string) (*Stack, error) {
	proxy, err := testkit.StartProxy()
	if err != nil {
		return nil, err
	}
	s, err := driver.Up(ctx, driver.Options{
		Root: "../..", Command: command, Name: name, Scale: scale, Args: []string{"--redis-via", proxy.Addr()},
		Env: []string{"SERVICE_SECRET=" + environment.Secret, "LOG_LEVEL=warn",
			fmt.Sprintf("DB_POOL_MAX=%d", Pool), "BREAKER_COOLDOWN=" + Cooldown.String()},
	})
	if err != nil {
		proxy.Close()
		return nil, err
	}
	_, address, _ := strings.Cut(s.Part(environment.Redis).URL, "@")
	proxy.SetTarget(strings.TrimSuffix(address, "/0"))
	return &Stack{s, proxy}, nil
}

// Close ends the stack and leaves nothing behind.
func (s *Stack) Close() error {
	defer s.Redis.Close()
	return s.Down()
}

// Restore starts what has ended and resumes what is paused.
func (s *Stack) Restore(ctx context.Context) error {
	s.Redis.Delay(0)
	now := *s.Stack
	err := now.Refresh(ctx)
	for _, p := range now.Parts {
		switch p.State {
		case "exited":
			err = errors.Join(err, s.Do(ctx, driver.Start, p.Name))
		case "paused":
			err = errors.Join(err, s.Do(ctx, driver.Resume, p.Name))
		}
	}
	return err
}

// urls returns a service's addresses, separated by commas.
func (s *Stack) urls(service string) string {
	var all []string
	for _, p := range s.Instances(service) {
		all = append(all, p.URL)
	}
	return strings.Join(all, ",")
}

// redisURL returns the URL of Redis behind the proxy.
func (s *Stack) redisURL() string {
	credentials, _, _ := strings.Cut(s.Part(environment.Redis).URL, "@")
	return credentials + "@" + s.Redis.Addr() + "/0"
}

// Orders returns how many orders the user has, and an error if two of them were placed
// with one key, which names their item.
func Orders(ctx context.Context, c *client.Client, at Part, user uuid.UUID) (int, error) {
	orders, err := client.All[client.Order]("/orders", url.Values{"userId": {user.String()}},
		func(path string) (client.Response, error) {
			return c.Send(ctx, at.Service, http.MethodGet, at.URL+path, nil)
		})
	keys := map[string]bool{}
	for _, o := range orders {
		if keys[o.Items[0].SKU] {
			return 0, fmt.Errorf("two orders for the key %s", o.Items[0].SKU)
		}
		keys[o.Items[0].SKU] = true
	}
	return len(orders), err
}

// Order places an order at one instance, with a key.
func Order(ctx context.Context, c *client.Client, at Part, user uuid.UUID, key string) (client.Response, error) {
	return c.Send(ctx, at.Service, http.MethodPost, at.URL+"/orders", order(user, key),
		client.Header("Idempotency-Key", key))
}
