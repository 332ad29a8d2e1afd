package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// launchOptions configure a stack of either kind.
type launchOptions struct {
	services  []checkout.Service
	scale     map[string]int
	freePorts bool
	redisVia  string // local processes only
	variables map[string]string
}

// choose decides between containers and local processes, and prints which. It returns
// the Docker stack with its images ready, or nil for local processes.
func (a *app) choose(ctx context.Context, o launchOptions) (*docker.Stack, error) {
	if a.detached() {
		return nil, nil // the waiting invocation has chosen, and printed it
	}
	why := "as asked"
	if a.world != stack.Local {
		d := a.dockerStack(a.name)
		d.Services, d.Scale, d.Variables = o.services, o.scale, map[string]string{}
		err := docker.Engine(ctx, a.root)
		if err == nil {
			fmt.Fprintln(a.say, "world: Docker containers")
			if err = d.Images(ctx); err == nil {
				return d, a.setDockerPorts(d, o)
			}
		}
		if a.world == stack.Docker || ctx.Err() != nil {
			return nil, err
		}
		why = err.Error()
	}
	fmt.Fprintf(a.say, "world: local processes (%s)\n", why)
	return nil, nil
}

func (a *app) dockerStack(name string) *docker.Stack {
	return &docker.Stack{Name: name, Root: a.root, Services: a.services, Environ: a.environ, Out: a.say}
}

// setDockerPorts moves the services to other host ports where theirs are busy.
func (a *app) setDockerPorts(d *docker.Stack, o launchOptions) error {
	var ports machine.Ports
	for name, value := range o.variables {
		d.Variables[name] = value
	}
	for _, s := range o.services {
		name := s.Variable() + "_PORT"
		if a.environ.Get(name) != "" {
			continue
		}
		wanted := s.Port
		if o.freePorts {
			wanted = 0
		}
		port, err := ports.Take(wanted)
		if err != nil {
			return err
		}
		d.Variables[name] = fmt.Sprint(port)
		if wanted > 0 && port != wanted {
			fmt.Fprintf(a.say, "port %d is busy: %s takes %d\n", wanted, s.Name, port)
		}
	}
	return nil
}

// session is a stack that this invocation started, and stops unless it leaves it.
type session struct {
	stack.Handle
	downAsked <-chan struct{} // closed when another invocation runs stack down
	stop      func() error
	leave     func() error
}

// launch starts d, or a stack of local processes if it is nil. The stack ends with this
// process.
func (a *app) launch(ctx context.Context, d *docker.Stack, o launchOptions) (*session, error) {
	if d != nil {
		return a.launchDocker(ctx, d)
	}
	l, err := local.New(ctx, local.Options{
		Name: a.name, Root: a.root, Services: o.services, Scale: o.scale, FreePorts: o.freePorts, RedisVia: o.redisVia,
		Environ: a.environ, Variables: o.variables, Reaper: []string{a.self, reaperCommand}, Out: a.say,
	})
	if errors.Is(err, checkout.ErrRunning) {
		return nil, a.alreadyUp()
	}
	if err != nil {
		return nil, err
	}
	asked, down := context.WithCancel(context.Background())
	closeServer, err := local.Serve(checkout.SocketIn(l.Dir()), l, down)
	if err != nil {
		return nil, errors.Join(err, l.Down(ctx))
	}
	s := &session{
		Handle: l, downAsked: asked.Done(), leave: func() error { return redirectOutput(l.Dir()) },
		stop: func() error { return errors.Join(l.Down(ctx), closeServer()) },
	}
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(asked, cancel)()
	if err := l.Up(starting); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (a *app) launchDocker(ctx context.Context, d *docker.Stack) (*session, error) {
	supervisor, err := process.NewSupervisor(nil, a.self, reaperCommand)
	if err != nil {
		return nil, err
	}
	supervisor.RunOnExit(d.DownCommand()...)
	leave := func() error {
		supervisor.CancelRun(d.DownCommand()...)
		return supervisor.Close()
	}
	s := &session{Handle: d, leave: leave, stop: func() error {
		return errors.Join(d.Down(context.WithoutCancel(ctx)), leave())
	}}
	if err := d.Up(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (a *app) alreadyUp() error {
	return fmt.Errorf("stack %s is up already; stack status shows it, stack down ends it", a.name)
}

// detached reports whether this is the process that up --detach leaves behind.
func (a *app) detached() bool { return a.environ.Get(detachedMark) != "" }

// detach runs this command line again as a process of its own session, copies what that
// prints until the stack is ready, and leaves it running.
func (a *app) detach(ctx context.Context) (stack.Handle, error) {
	cmd := exec.CommandContext(ctx, a.self, append(os.Args[1:], "--world", stack.Local, "--name", a.name)...)
	cmd.Env = a.environ.With(map[string]string{detachedMark: "true"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	progress, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := io.Copy(a.say, progress); err != nil { // ends when its output is redirected, or it ends
		return nil, err
	}
	if c, up := local.Attach(ctx, checkout.RunPath(a.root, a.name)); up {
		if status, err := c.Status(ctx); err == nil && status.Ready {
			return c, cmd.Process.Release()
		}
	}
	_ = cmd.Wait()
	return nil, errReported // by that process
}

// redirectOutput ends the wait in detach: from here on this process prints to a log
// beside those of the parts.
func redirectOutput(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "logs", "stack.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	return errors.Join(unix.Dup2(int(log.Fd()), 1), unix.Dup2(int(log.Fd()), 2))
}

// hold keeps the stack up until ctx ends, another invocation runs stack down, or the
// folder of [endWithMark] is gone. It prints meanwhile the parts that change their state.
func (a *app) hold(ctx context.Context, s *session) {
	before := map[string]string{}
	for {
		status, err := s.Status(ctx)
		for _, p := range status.Parts {
			if was := before[p.Name]; was != "" && was != p.State && err == nil {
				fmt.Fprintf(a.say, "%s %s is %s %s\n", time.Now().Format(time.TimeOnly), p.Name, p.State, p.Detail)
			}
			before[p.Name] = p.State
		}
		if guardian := a.environ.Get(endWithMark); guardian != "" {
			if _, err := os.Stat(guardian); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.downAsked:
			return
		case <-time.After(2 * time.Second):
		}
	}
}
