package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/pkg/registry"
)

// registry is set up as that of a service whose peers have these addresses.
func (s *Stack) registry(urls map[string]string) (*redis.Client, *registry.Registry, error) {
	opts, err := redis.ParseURL(s.redisURL())
	if err != nil {
		return nil, nil, err
	}
	opts.ContextTimeoutEnabled, opts.DialTimeout = true, time.Second
	client := redis.NewClient(opts)
	r, err := registry.New(registry.Config{Kind: registry.KindRedis, Env: "development", URLs: urls}, registry.Deps{Redis: client})
	return client, r, err
}

// Listed returns nil if Redis knows so many living instances of the service.
func (s *Stack) Listed(service string, n int) error {
	client, r, err := s.registry(nil)
	if err != nil {
		return err
	}
	_, err = r.GetService(service) // looks it up
	if known := len(r.Instances(service)); known != n {
		err = fmt.Errorf("%d instances of %s in Redis, want %d", known, service, n)
	}
	return errors.Join(err, client.Close())
}

// Empty deletes everything in Redis.
func (c *Caller) Empty(ctx context.Context) error { return c.redis.FlushAll(ctx).Err() }

// Shifted looks up the user several times, at instances that only Redis names, and
// announces an instance of the service named name. All clocks here are that of the
// calling goroutine, which a bubble of testing/synctest shifts; the client's token was
// signed at the true time.
func (s *Stack) Shifted(ctx context.Context, c *client.Client, name string, id uuid.UUID) (Counts, error) {
	var t Counts
	rdb, r, err := s.registry(nil)
	if err != nil {
		return t, err
	}
	for range 48 {
		began := time.Now()
		t.add(lookUpAt(ctx, r, c, id), time.Since(began))
	}
	err = r.Announce(ctx, name, "http://127.0.0.1:1")
	return t, errors.Join(err, rdb.Close())
}

func lookUpAt(ctx context.Context, r *registry.Registry, c *client.Client, id uuid.UUID) error {
	at, err := r.GetService(environment.User)
	if err != nil {
		return err
	}
	response, err := c.Send(ctx, environment.User, http.MethodGet, at+"/users/"+id.String(), nil,
		client.Header("Connection", "close"))
	if err == nil && response.Status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.Status, response.Body)
	}
	return err
}
