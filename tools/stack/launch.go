package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// launched is a stack that this invocation starts. It ends with this process, unless
// that leaves it.
type launched interface {
	stack.Handle
	Up(ctx context.Context) error
	DownAsked() <-chan struct{} // closed when another invocation runs stack down
	Leave() error
}

// choose decides between containers and local processes, and prints which. It returns
// the Docker stack with its images ready, or nil for local processes. The error is that
// of alreadyUp if a stack of that name runs.
func (a *app) choose(ctx context.Context, defaultName string) (*docker.Stack, error) {
	a.Name = cmp.Or(a.Name, defaultName)
	if a.attached(ctx) != nil {
		return nil, a.alreadyUp()
	}
	if a.detached() {
		return nil, nil // the waiting invocation has chosen, and printed it
	}
	why := "as asked"
	if a.world != stack.Local {
		d := &docker.Stack{Options: a.Options}
		err := docker.Engine(ctx, a.Root)
		if err == nil {
			fmt.Fprintln(a.Progress, "world: Docker containers")
			if err = d.Images(ctx); err == nil {
				return d, nil
			}
		}
		if a.world == stack.Docker || ctx.Err() != nil {
			return nil, err
		}
		why = err.Error()
	}
	fmt.Fprintf(a.Progress, "world: local processes (%s)\n", why)
	return nil, nil
}

// launch starts d, or a stack of local processes if it is nil.
func (a *app) launch(ctx context.Context, d *docker.Stack) (launched, error) {
	var s launched = d
	if d == nil {
		l, err := local.New(ctx, a.Options)
		if errors.Is(err, checkout.ErrRunning) {
			return nil, a.alreadyUp()
		}
		if err != nil {
			return nil, err
		}
		s = l
		if a.Secure {
			err = a.makeKeys(ctx, l)
		}
		if err != nil {
			return nil, errors.Join(err, s.Down(ctx))
		}
	}
	if err := s.Up(ctx); err != nil {
		return nil, errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// makeKeys makes keys for a stack, in its folder, unless STACK_KEYS names some.
func (a *app) makeKeys(ctx context.Context, l *local.Stack) error {
	status, err := l.Status(ctx)
	if err != nil || a.Environ.Get("STACK_KEYS") != "" {
		return err
	}
	keys := filepath.Join(status.Dir, "keys")
	l.Environ = a.Environ.With(map[string]string{"STACK_KEYS": keys})
	return keyFolder(keys).make(a.signers())
}

func (a *app) alreadyUp() error {
	return fmt.Errorf("stack %s is up already; bin/stack status shows it, bin/stack down ends it", a.Name)
}

// detached reports whether this is the process that up --detach leaves behind.
func (a *app) detached() bool { return a.Environ.Get(detachedMark) != "" }

// detach runs this command line again in a new session, copies what that
// prints until the stack is ready, and leaves it running.
func (a *app) detach(ctx context.Context) (stack.Handle, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Args = append(cmd.Args, "--world", stack.Local, "--name", a.Name)
	cmd.Env = a.Environ.With(map[string]string{detachedMark: "true"})
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
	if _, err := io.Copy(a.Progress, progress); err != nil { // until Leave, or its end
		return nil, err
	}
	if c, up := local.Attach(ctx, checkout.RunPath(a.Root, a.Name)); up {
		if status, err := c.Status(ctx); err == nil && status.Ready {
			return c, cmd.Process.Release()
		}
	}
	_ = cmd.Wait()
	return nil, errReported // by that process
}

// hold keeps the stack up until ctx ends, another invocation runs stack down, or the
// folder of [endWithMark] is gone. It prints meanwhile the parts that change their state.
func (a *app) hold(ctx context.Context, s launched) {
	before := map[string]string{}
	for {
		status, err := s.Status(ctx)
		for _, p := range status.Parts {
			if was := before[p.Name]; was != "" && was != p.State && err == nil {
				now := time.Now().Format(time.TimeOnly)
				fmt.Fprintf(a.Progress, "%s %s is %s %s\n", now, p.Name, p.State, p.Detail)
			}
			before[p.Name] = p.State
		}
		if guardian := a.Environ.Get(endWithMark); guardian != "" {
			if _, err := os.Stat(guardian); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.DownAsked():
			return
		case <-time.After(2 * time.Second):
		}
	}
}
