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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Options configures a stack.
type Options struct {
	Name      string // keeps stacks of one checkout apart
	Root      string // the checkout
	Services  []checkout.Service
	Scale     map[string]int    // replicas by service; default 1
	FreePorts bool              // services take any free ports, not their own
	RedisVia  string            // host:port of a proxy between the services and Redis; "" for none
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

	mu    sync.Mutex
	parts []*part
	ready bool
}

// New claims the run folder of a stack and starts its reaper, nothing else. The
// error is [checkout.ErrRunning] if a stack of that name is up.
func New(ctx context.Context, o Options) (*Stack, error) {
	dir, err := checkout.Claim(ctx, checkout.RunPath(o.Root, o.Name))
	if err != nil {
		return nil, err
	}
	supervisor, err := process.NewSupervisor(dir.Lock, o.Reaper...)
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	supervisor.RunOnExit("rm", "-rf", dir.Path)
	return &Stack{Options: o, dir: dir, supervisor: supervisor, password: rand.Text()}, nil
}

// Dir returns the run folder's path.
func (s *Stack) Dir() string { return s.dir.Path }

// Supervisor returns the supervisor that the stack starts its programs with.
func (s *Stack) Supervisor() *process.Supervisor { return s.supervisor }

// Infra returns the URLs of Postgres, for its superuser, and of Redis.
func (s *Stack) Infra() (postgres, redis string) { return s.postgres.url, s.redis.url }

// Up starts all parts in their order and returns when every one is ready. After
// an error, as after success, the caller ends with [Stack.Down].
func (s *Stack) Up(ctx context.Context) error {
	building, cancel := context.WithCancel(ctx)
	defer cancel()
	built := make(chan error, 1)
	go func() { built <- s.build(building) }()
	if err := s.startInfra(ctx); err != nil {
		cancel()
		<-built
		return err
	}
	if err := <-built; err != nil {
		return err
	}
	if err := s.startServices(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	return nil
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
	return s.startAll(ctx, s.redis, s.postgres)
}

func (s *Stack) startServices(ctx context.Context) error {
	var all, first []*part
	for _, service := range s.Services {
		parts, err := s.newInstances(service)
		if err != nil {
			return err
		}
		all, first = append(all, parts...), append(first, parts[0])
	}
	s.add(all...)
	if len(first) > 0 {
		began := time.Now()
		if err := together(first, func(p *part) error { return s.migrate(ctx, p) }); err != nil {
			return err
		}
		s.say("migrated %d databases in %s", len(first), stack.Short(time.Since(began)))
	}
	return s.startAll(ctx, all...)
}

// migrate brings the database of a service to its newest version.
func (s *Stack) migrate(ctx context.Context, p *part) error {
	cmd := p.command()
	cmd.Args = append(cmd.Args, "migrate")
	if err := s.run(ctx, cmd); err != nil {
		return fmt.Errorf("migrate the database of %s: %w", p.service, err)
	}
	return nil
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

// run runs a program to its end; the error holds the output.
func (s *Stack) run(ctx context.Context, cmd *exec.Cmd) error {
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := s.supervisor.Run(ctx, cmd); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, strings.TrimSpace(output.String()))
	}
	return nil
}

// Status returns every part's state.
func (s *Stack) Status(context.Context) (stack.Status, error) {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	status := stack.Status{Name: s.Name, World: stack.Local, Ready: ready, Dir: s.dir.Path}
	for _, p := range s.snapshot() {
		status.Parts = append(status.Parts, p.status())
	}
	return status, nil
}

// Chaos applies verb to every part that name means and that runs, or does not for
// [stack.Start], and returns when it has taken effect.
func (s *Stack) Chaos(ctx context.Context, verb, name string) error {
	status, _ := s.Status(ctx)
	if _, err := status.Named(name); err != nil {
		return err
	}
	parts := slices.DeleteFunc(s.snapshot(), func(p *part) bool {
		now := p.status()
		return !now.Is(name) || (now.State == stack.Exited) != (verb == stack.Start)
	})
	if len(parts) == 0 {
		return fmt.Errorf("nothing to %s: every %s is in that state", verb, name)
	}
	return together(parts, func(p *part) error { return p.chaos(ctx, s.supervisor, verb) })
}

// Logs writes what the parts have printed.
func (s *Stack) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	return Logs(ctx, s.dir.Path, out, follow, name)
}

// Down stops the services, then Redis, then Postgres, and removes all that the
// stack stored. Call it once.
func (s *Stack) Down(context.Context) error {
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
	err := s.dir.Remove()
	s.supervisor.CancelRun("rm", "-rf", s.dir.Path)
	return errors.Join(err, s.supervisor.Close())
}

func (s *Stack) add(parts ...*part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, parts...)
}

func (s *Stack) snapshot() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parts)
}

func (s *Stack) logPath(part string) string {
	return filepath.Join(s.dir.Path, "logs", part+".log")
}

func (s *Stack) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.Out, format+"\n", args...)
}

// together runs do for all at once and joins the errors.
func together(all []*part, do func(*part) error) error {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, p := range all {
		group.Go(func() { errs[i] = do(p) })
	}
	group.Wait()
	return errors.Join(errs...)
}
