package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/go-troika/troika/tools/stack/internal/control"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// launchOptions say what to start, in either world.
type launchOptions struct {
	services  []checkout.Service
	scale     scales
	freePorts bool
	redisVia  string // what relays the services to Redis; local processes only
	variables map[string]string
}

// choose settles which world runs, says so, and answers the docker stack with
// its images at hand, or nil for local processes.
func (a *app) choose(ctx context.Context, o launchOptions) (*docker.Stack, error) {
	if a.environ.Get(detachedMark) != "" {
		return nil, nil // the waiting invocation has chosen, and said so
	}
	why := "as asked"
	if a.world != world.Local {
		d := &docker.Stack{
			Name: a.name, Root: a.root, Services: o.services, Scale: o.scale,
			Environ: a.environ, Variables: map[string]string{}, Out: a.say,
		}
		err := docker.Engine(ctx, a.root)
		if err == nil {
			fmt.Fprintln(a.say, "world: Docker containers")
			if err = d.Images(ctx); err == nil {
				return d, a.dockerPorts(d, o)
			}
		}
		if a.world == world.Docker || ctx.Err() != nil {
			return nil, err
		}
		why = err.Error()
	}
	fmt.Fprintf(a.say, "world: local processes (%s)\n", why)
	return nil, nil
}

// dockerPorts moves the services to other host ports where theirs are busy.
func (a *app) dockerPorts(d *docker.Stack, o launchOptions) error {
	var ports machine.Ports
	for name, value := range o.variables {
		d.Variables[name] = value
	}
	for _, s := range o.services {
		wanted := s.Port
		if o.freePorts {
			wanted = 0
		}
		port, err := ports.Take(wanted)
		if err != nil {
			return err
		}
		if name := s.Variable() + "_PORT"; a.environ.Get(name) == "" {
			d.Variables[name] = fmt.Sprint(port)
			if wanted > 0 && port != wanted {
				fmt.Fprintf(a.say, "port %d is busy: %s takes %d\n", wanted, s.Name, port)
			}
		}
	}
	return nil
}

// session is a started stack.
type session struct {
	world.World
	asked  <-chan struct{} // closed when another invocation said down
	close  func() error    // stops it and leaves nothing behind
	settle func() error    // leaves it to itself
}

// launch starts a stack that ends with this process: as the containers of d, or
// without one as local processes.
func (a *app) launch(ctx context.Context, d *docker.Stack, o launchOptions) (*session, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if d != nil {
		return a.launchDocker(ctx, d, self)
	}
	stack, err := local.New(local.Options{
		Name: a.name, Root: a.root, Services: o.services, Scale: o.scale, FreePorts: o.freePorts, RedisVia: o.redisVia,
		Environ: a.environ, Variables: o.variables, Reaper: []string{self, reaperCommand}, Out: a.say,
	})
	if errors.Is(err, checkout.ErrRunning) {
		return nil, a.alreadyUp()
	}
	if err != nil {
		return nil, err
	}
	s, err := a.serve(stack)
	if err == nil {
		starting, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-s.asked:
				cancel()
			case <-starting.Done():
			}
		}()
		err = stack.Up(starting)
		cancel()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// serve opens the control socket of a local stack.
func (a *app) serve(stack *local.Stack) (*session, error) {
	asked, down := context.WithCancel(context.Background())
	serving, quit := context.WithCancel(context.Background())
	wait, err := control.Serve(serving, stack.Dir().Socket(), stack, down)
	if err != nil {
		wait = func() error { return nil }
	}
	shut := func() error {
		err := stack.Down(context.Background())
		quit()
		down()
		return errors.Join(err, wait())
	}
	return &session{World: stack, asked: asked.Done(), close: shut, settle: func() error { return settle(stack) }}, err
}

func (a *app) launchDocker(ctx context.Context, d *docker.Stack, self string) (*session, error) {
	k, err := process.NewSupervisor(self, reaperCommand)
	if err != nil {
		return nil, err
	}
	k.RunOnExit(d.DownCommand()...)
	settle := func() error {
		k.CancelRun(d.DownCommand()...)
		return k.Close()
	}
	s := &session{World: d, settle: settle, close: func() error {
		return errors.Join(d.Down(context.WithoutCancel(ctx)), settle())
	}}
	if err := d.Up(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (a *app) alreadyUp() error {
	return fmt.Errorf("stack %s is up already; stack status shows it, stack down ends it", a.name)
}

// detach starts this command again, without --detach, as a process of its own
// session, passes on what that prints while it starts, and leaves it running.
func (a *app) detach(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, append(args, "--world", world.Local, "--name", a.name)...)
	cmd.Env = a.environ.With(map[string]string{detachedMark: "true"})
	cmd.Dir = a.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	progress, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	if _, err := io.Copy(a.say, progress); err != nil { // ends when it has settled, or died
		return err
	}
	if c, up := control.Attach(ctx, checkout.RunPath(a.root, a.name)); up {
		if status, err := c.Status(ctx); err == nil && status.Ready {
			return cmd.Process.Release()
		}
	}
	_ = cmd.Wait()
	return errReported // by the process itself
}

// settle lets go of the invocation that waits in detach: from here on what this
// process prints goes to a log beside the parts' own.
func settle(stack *local.Stack) error {
	log, err := os.OpenFile(filepath.Join(stack.Dir().Path, "logs", "stack.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	return errors.Join(unix.Dup2(int(log.Fd()), 1), unix.Dup2(int(log.Fd()), 2))
}

// hold keeps the stack up until ctx ends, another invocation says down or the
// folder that [endWithMark] names is gone, and tells of every part that changes
// its state meanwhile.
func (a *app) hold(ctx context.Context, w *session) {
	before := map[string]string{}
	interval := time.Second
	for {
		status, err := w.Status(ctx)
		for _, p := range status.Parts {
			if was := before[p.Name]; was != "" && was != p.State && err == nil {
				fmt.Fprintf(a.say, "%s %s is %s %s\n", time.Now().Format(time.TimeOnly), p.Name, p.State, p.Detail)
			}
			before[p.Name] = p.State
		}
		if status.World == world.Docker {
			interval = 5 * time.Second // asking the engine costs more
		}
		if guardian := a.environ.Get(endWithMark); guardian != "" {
			if _, err := os.Stat(guardian); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-w.asked:
			return
		case <-time.After(interval):
		}
	}
}

// printJSON writes v for machines.
func (a *app) printJSON(v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := text.WriteTo(a.out)
	return err
}
