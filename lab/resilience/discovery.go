package resilience

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/e2e/world"
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
	r, err := registry.New(registry.Config{Kind: registry.KindRedis, URLs: urls}, registry.Deps{Redis: client})
	return client, r, err
}

// Listed is nil if Redis knows so many living instances of the service.
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

// Empty makes Redis forget everything.
func (c *Caller) Empty(ctx context.Context) error { return c.redis.FlushAll(ctx).Err() }

// Shifted looks up the user as often as a few callers would in a moment, at
// instances that only Redis names, and announces an instance of the service named
// name. All that reads a clock here reads the calling goroutine's, which a bubble
// of testing/synctest shifts; the person's token is of the true time.
func (s *Stack) Shifted(ctx context.Context, p *Client, name string, id uuid.UUID) (Tally, error) {
	var t Tally
	client, r, err := s.registry(nil)
	if err != nil {
		return t, err
	}
	for range 48 {
		began := time.Now()
		t.add(s.lookUpAt(ctx, r, p, id), time.Since(began))
	}
	err = r.Announce(ctx, name, "http://127.0.0.1:1")
	return t, errors.Join(err, client.Close())
}

func (s *Stack) lookUpAt(ctx context.Context, r *registry.Registry, p *Client, id uuid.UUID) error {
	at, err := r.GetService(world.User)
	if err != nil {
		return err
	}
	answer, err := p.Send(ctx, Part{Service: world.User, URL: at}, http.MethodGet, "/users/"+id.String(), nil,
		http.Header{"Connection": {"close"}})
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.Status, answer.Body)
	}
	return err
}
