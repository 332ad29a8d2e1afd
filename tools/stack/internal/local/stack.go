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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Stack is a stack of processes. It is safe for concurrent use once [Stack.Up]
// has been called.
type Stack struct {
	stack.Options
	dir        *checkout.RunDir
	supervisor *process.Supervisor
	ports      machine.Ports
	password   string // of every role, and of Redis
	postgres   *part
	redis      *part

	redisClient redisClient

	downAsked   context.Context // done when another invocation has asked for Down
	closeServer func() error

	mu    sync.Mutex
	parts []*part
	ready bool
}

// New claims the run folder of a stack and opens its control socket, nothing else. The
// error is [checkout.ErrRunning] if a stack of that name is up.
func New(ctx context.Context, o stack.Options) (*Stack, error) {
	dir, err := checkout.Claim(ctx, checkout.RunPath(o.Root, o.Name))
	if err != nil {
		return nil, err
	}
	supervisor, err := process.NewSupervisor(dir.Lock)
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	supervisor.RunOnExit("rm", "-rf", dir.Path)
	s := &Stack{Options: o, dir: dir, supervisor: supervisor, password: rand.Text()}
	var down context.CancelFunc
	s.downAsked, down = context.WithCancel(context.Background())
	if s.closeServer, err = Serve(checkout.SocketIn(dir.Path), s, down); err != nil {
		return nil, errors.Join(err, dir.Remove(), supervisor.Close())
	}
	return s, nil
}

// DownAsked returns a channel that is closed when another invocation has asked for
// [Stack.Down].
func (s *Stack) DownAsked() <-chan struct{} { return s.downAsked.Done() }

// Supervisor returns the supervisor that the stack starts its programs with.
func (s *Stack) Supervisor() *process.Supervisor { return s.supervisor }

// Up starts all parts in their order and returns when every one is ready. After
// an error, as after success, the caller ends with [Stack.Down].
func (s *Stack) Up(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.downAsked, cancel)()
	built := make(chan error, 1)
	go func() { built <- s.build(ctx) }()
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
	bins, err := machine.Ensure(ctx, s.supervisor, s.Progress, s.Environ, machine.Postgres, machine.Redis)
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
		err := p.start(ctx, s.supervisor)
		if err == nil {
			p.status().Announce(s.Progress)
		}
		return err
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
	status := stack.Status{
		Name: s.Name, World: stack.Local, Ready: ready, Dir: s.dir.Path,
		Traces: s.Environ.Get("OTEL_EXPORTER_OTLP_ENDPOINT"),
	}
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

// Leave lets the stack outlive the invocation that waits for this process: from here on
// the process prints to a log beside those of the parts.
func (s *Stack) Leave() error {
	log, err := os.OpenFile(s.logPath("stack"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	return errors.Join(unix.Dup2(int(log.Fd()), 1), unix.Dup2(int(log.Fd()), 2))
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
	closed := s.closeServer() // before a successor can have its socket at the same path
	removed := s.dir.Remove()
	s.supervisor.CancelRun("rm", "-rf", s.dir.Path)
	return errors.Join(closed, removed, s.supervisor.Close())
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
	fmt.Fprintf(s.Progress, format+"\n", args...)
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
