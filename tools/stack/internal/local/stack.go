// Package local runs a whole stack as processes of this machine: a private
// Postgres and a private Redis on free ports, and the services built from the
// checkout. Nothing of it outlives the process that runs it.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// Options say what to run.
type Options struct {
	Name      string // keeps stacks of one checkout apart
	Root      string // the checkout
	Services  []checkout.Service
	Scale     map[string]int    // replicas per service; 1 where it says nothing
	FreePorts bool              // services take any free ports, not their own
	RedisVia  string            // host:port at which something relays the services to Redis; "" for none
	Environ   machine.Environ   // of the caller; services get it too
	Variables map[string]string // set for every service besides
	Reaper    []string          // the command that becomes the reaper
	Out       io.Writer         // for people
}

// Stack is a stack of processes. It is safe for concurrent use once [Stack.Up]
// has been called.
type Stack struct {
	Options
	dir        *checkout.RunDir
	supervisor *process.Supervisor
	ports      machine.Ports
	password   string // of every role, and of Redis
	postgres   *part
	redis      *part

	mu      sync.Mutex
	parts   []*part
	ready   bool
	closing sync.Once
}

// New claims the run folder of a stack and starts its reaper, nothing else. The
// error is [checkout.ErrRunning] if a stack of that name is up.
func New(o Options) (*Stack, error) {
	supervisor, err := process.NewSupervisor(o.Reaper...)
	if err != nil {
		return nil, err
	}
	dir, err := checkout.Claim(checkout.RunPath(o.Root, o.Name), supervisor.RemoveOnExit, supervisor.CancelRemove)
	if err != nil {
		return nil, errors.Join(err, supervisor.Close())
	}
	return &Stack{
		Options: o, dir: dir, supervisor: supervisor, password: rand.Text()}, nil
}

// Dir returns the run folder.
func (s *Stack) Dir() *checkout.RunDir { return s.dir }

// Supervisor returns what the stack starts its programs with.
func (s *Stack) Supervisor() *process.Supervisor { return s.supervisor }

// Infra returns the URLs of the superuser's Postgres and of Redis.
func (s *Stack) Infra() (postgres, redis string) { return s.postgres.url, s.redis.url }

// Up starts all parts in their order and returns when every one is ready. After
// an error, as after success, the caller ends with [Stack.Down].
func (s *Stack) Up(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var built error
	var building sync.WaitGroup
	defer building.Wait()
	if len(s.Services) > 0 {
		began := time.Now()
		s.say("building %d services (about 2 minutes of CPU from an empty cache, a second when nothing changed)", len(s.Services))
		building.Go(func() {
			if built = s.build(ctx); built != nil {
				cancel()
				return
			}
			s.say("built in %s", world.Short(time.Since(began)))
		})
	}
	err := s.startInfra(ctx)
	if err != nil {
		cancel()
	}
	building.Wait()
	if err = firstCause(built, err); err == nil {
		err = s.startServices(ctx)
	}
	s.mu.Lock()
	s.ready = err == nil
	s.mu.Unlock()
	return err
}

// firstCause leaves out a cancellation that only followed from the other error.
func firstCause(built, infra error) error {
	switch {
	case built != nil && errors.Is(infra, context.Canceled):
		return built
	case infra != nil && errors.Is(built, context.Canceled):
		return infra
	default:
		return errors.Join(built, infra)
	}
}

func (s *Stack) startInfra(ctx context.Context) error {
	bins, err := machine.Ensure(ctx, s.supervisor, s.Out, s.Environ, machine.Postgres, machine.Redis)
	if err != nil {
		return err
	}
	owner, err := dataOwner()
	if err != nil {
		return err
	}
	if s.redis, err = s.newRedis(bins[1], owner); err != nil {
		return err
	}
	s.add(s.redis)
	if s.postgres, err = s.newPostgres(ctx, bins[0], owner); err != nil {
		return err
	}
	s.add(s.postgres)
	return s.startAll(ctx, s.postgres, s.redis)
}

func (s *Stack) startServices(ctx context.Context) error {
	var all []*part
	instances := map[string][]*part{}
	for _, service := range s.Services {
		parts, err := s.newInstances(service)
		if err != nil {
			return err
		}
		all, instances[service.Name] = append(all, parts...), parts
		s.add(parts...)
	}
	for _, service := range s.Services {
		for _, p := range instances[service.Name] {
			p.spec.Env = s.environ(service, p)
		}
	}
	if err := s.migrate(ctx, instances); err != nil {
		return err
	}
	return s.startAll(ctx, all...)
}

// migrate brings every service's database to its newest version, all at once.
func (s *Stack) migrate(ctx context.Context, instances map[string][]*part) error {
	began := time.Now()
	err := together(s.Services, func(service checkout.Service) error {
		first := instances[service.Name][0]
		if err := s.runAs(ctx, first.spec, first.spec.Path, nil, "migrate"); err != nil {
			return fmt.Errorf("migrate the database of %s: %w", service.Name, err)
		}
		return nil
	})
	if err == nil && len(s.Services) > 0 {
		s.say("migrated %d databases in %s", len(s.Services), world.Short(time.Since(began)))
	}
	return err
}

func (s *Stack) startAll(ctx context.Context, parts ...*part) error {
	return together(parts, func(p *part) error {
		p.verb.Lock()
		defer p.verb.Unlock()
		if err := p.start(ctx, s.supervisor); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		p.status().Announce(s.Out)
		return nil
	})
}

// Down stops the services, then Redis, then Postgres, and removes all that the
// stack stored. It may be called several times.
func (s *Stack) Down(context.Context) error {
	var err error
	s.closing.Do(func() {
		_ = together(s.snapshot(), func(p *part) error {
			if p != s.postgres && p != s.redis {
				p.stop(stopGrace)
			}
			return nil
		})
		for _, p := range []*part{s.redis, s.postgres} {
			if p != nil {
				p.stop(10 * time.Second)
			}
		}
		err = errors.Join(s.dir.Remove(), s.supervisor.Close())
	})
	return err
}

func (s *Stack) add(parts ...*part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, parts...)
}

func (s *Stack) snapshot() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*part(nil), s.parts...)
}

func (s *Stack) urls(service string) []string {
	var all []string
	for _, p := range s.snapshot() {
		if p.service == service {
			all = append(all, p.url)
		}
	}
	return all
}

func (s *Stack) logPath(part string) string {
	return filepath.Join(s.dir.Path, "logs", part+".log")
}

func (s *Stack) appEnv() string {
	if env := s.Environ.Get("APP_ENV"); env != "" {
		return env
	}
	return "development"
}

func (s *Stack) database(service checkout.Service) string {
	return service.Role() + "_" + s.appEnv()
}

func (s *Stack) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.Out, format+"\n", args...)
}
