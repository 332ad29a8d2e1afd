// Package containers is the environment of a container engine: every part is a container
// on a separate network, every service an image built from its Dockerfile.
package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/network"

	"github.com/go-troika/troika/e2e/environment"
)

type containers struct {
	engine  *testcontainers.DockerClient
	network *testcontainers.DockerNetwork
	mu      sync.Mutex // guards parts and their slices
	parts   map[string]*part
}

var _ environment.Environment = (*containers)(nil)

// part is one or several containers alike.
type part struct {
	run       func(context.Context) (*testcontainers.DockerContainer, error)
	replicas  int
	ports     []string // public and admin; none for a part that is not called
	running   []*testcontainers.DockerContainer
	instances []environment.Instance
}

// Start builds the services' images from the checkout at root and starts
// everything; it takes minutes the first time, and seconds from then on.
func Start(ctx context.Context, root string) (environment.Environment, error) {
	if err := build(ctx, root); err != nil {
		return nil, err
	}
	log.SetDefault(log.NewNoopLogger())
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	net, err := network.New(ctx)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	c := &containers{engine: engine, network: net, parts: map[string]*part{}}
	if err := c.startAll(ctx); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

func (c *containers) startAll(ctx context.Context) error {
	c.parts[environment.Redis] = &part{run: c.redis, replicas: 1}
	if err := c.grow(ctx, c.parts[environment.Redis]); err != nil {
		return err
	}
	errs := make(chan error)
	for _, s := range services {
		db := &part{run: c.database(s), replicas: 1}
		app := &part{run: c.service(s), replicas: s.replicas, ports: []string{s.port, s.admin}}
		c.parts[s.name+"-db"], c.parts[s.name] = db, app
		go func() {
			errs <- func() error {
				if err := c.grow(ctx, db); err != nil {
					return err
				}
				if err := c.migrate(ctx, s); err != nil {
					return err
				}
				return c.grow(ctx, app)
			}()
		}()
	}
	var failed []error
	for range services {
		failed = append(failed, <-errs)
	}
	return errors.Join(failed...)
}

// grow starts containers of a part until it has all its replicas.
func (c *containers) grow(ctx context.Context, p *part) error {
	for len(p.running) < p.replicas {
		started, err := p.run(ctx)
		if started != nil { // even a container that failed to start has to be removed
			c.mu.Lock()
			p.running = append(p.running, started)
			c.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
	return c.locate(ctx, p)
}

// locate stores the addresses of the containers of a part: the engine assigns new ports
// at each start.
func (c *containers) locate(ctx context.Context, p *part) error {
	var instances []environment.Instance
	for _, running := range p.running {
		var urls [2]string
		for i, port := range p.ports {
			url, err := running.PortEndpoint(ctx, port, "http")
			if err != nil {
				return err
			}
			urls[i] = url
		}
		instances = append(instances, environment.Instance{URL: urls[0], Admin: urls[1]})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.instances = instances
	return nil
}

func (c *containers) Name() string { return "docker" }

func (c *containers) Instances(service string) []environment.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.parts[service].instances)
}

func (c *containers) Kill(ctx context.Context, part string) error {
	return c.each(part, func(id string) error {
		_, err := c.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
		return err
	})
}

func (c *containers) Start(ctx context.Context, part string) error {
	p := c.parts[part]
	for _, stopped := range p.running {
		if err := stopped.Start(ctx); err != nil {
			return err
		}
	}
	return c.grow(ctx, p)
}

func (c *containers) Wipe(ctx context.Context, part string) error {
	if err := c.Kill(ctx, part); err != nil {
		return err
	}
	return c.remove(ctx, c.parts[part])
}

func (c *containers) Pause(ctx context.Context, part string) error {
	return c.each(part, func(id string) error {
		_, err := c.engine.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

func (c *containers) Resume(ctx context.Context, part string) error {
	return c.each(part, func(id string) error {
		_, err := c.engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

// remove ends the containers of a part and deletes them with their data.
func (c *containers) remove(ctx context.Context, p *part) error {
	for len(p.running) > 0 {
		last := len(p.running) - 1
		if err := p.running[last].Terminate(ctx, testcontainers.StopTimeout(0)); err != nil {
			return err
		}
		c.mu.Lock()
		p.running = p.running[:last]
		c.mu.Unlock()
	}
	return nil
}

func (c *containers) Logs(ctx context.Context, part string) (string, error) {
	var all []byte
	p, ok := c.parts[part]
	if !ok {
		return "", fmt.Errorf("no part named %q", part)
	}
	for _, running := range p.running {
		text, err := logs(ctx, running)
		if err != nil {
			return "", err
		}
		all = append(all, text...)
	}
	return string(all), nil
}

func logs(ctx context.Context, c *testcontainers.DockerContainer) ([]byte, error) {
	stream, err := c.Logs(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return io.ReadAll(stream)
}

func (c *containers) each(part string, do func(id string) error) error {
	p, ok := c.parts[part]
	if !ok {
		return fmt.Errorf("no part named %q", part)
	}
	var errs []error
	for _, running := range p.running {
		errs = append(errs, do(running.GetContainerID()))
	}
	return errors.Join(errs...)
}

func (c *containers) Close(ctx context.Context) error {
	var errs []error
	for name, p := range c.parts {
		if err := c.remove(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(append(errs, c.network.Remove(ctx), c.engine.Close())...)
}
