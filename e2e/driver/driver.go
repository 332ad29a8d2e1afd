// Package driver drives the stack command, by its arguments and what it prints as JSON:
// a whole system of local processes on free ports.
package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Verbs of [Stack.Do].
const (
	Kill   = "kill"   // SIGKILL
	Stop   = "stop"   // SIGTERM, and wait for the end
	Pause  = "pause"  // SIGSTOP
	Resume = "resume" // undo Pause
	Start  = "start"  // start what has ended, and wait until it is ready
)

// Options configures a stack.
type Options struct {
	Root    string         // of the checkout; default the working directory
	Command string         // path of the stack command; by default it is built from Root
	Name    string         // unlike that of any other stack that runs
	Scale   map[string]int // instances by service, default 1
	Env     []string       // added to the environment
	Args    []string       // further arguments of stack up
}

// Stack is a running system. Its methods are safe for concurrent use, but Refresh.
type Stack struct {
	Dir   string // where it keeps its data
	Parts []Part

	options Options
}

// Part is one process of a stack.
type Part struct {
	Name      string `json:"name"`
	Service   string `json:"service"`
	State     string `json:"state"`
	URL       string `json:"url"`
	AdminPort int    `json:"adminPort"`
	PID       int    `json:"pid"`
}

// Host returns the part's host and port.
func (p Part) Host() string {
	_, host, _ := strings.Cut(p.URL, "://")
	return host
}

// Admin returns the base URL of the part's admin port.
func (p Part) Admin() string { return fmt.Sprintf("http://127.0.0.1:%d", p.AdminPort) }

// Up starts a stack. Close it with Down; after an error nothing is left.
func Up(ctx context.Context, o Options) (*Stack, error) {
	var err error
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return nil, err
	}
	if o.Command == "" { // a test from an editor, or go test in this module alone
		o.Command = filepath.Join(o.Root, "bin", "stack")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.Command, "./tools/stack")
		build.Dir, build.Env = o.Root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the stack command: %w\n%s", err, out)
		}
	}
	if o.Command, err = filepath.Abs(o.Command); err != nil {
		return nil, err
	}
	s := &Stack{options: o}
	args := append([]string{"up", "--detach", "--json", "--world", "local", "--ports", "free"}, o.Args...)
	for service, n := range o.Scale {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, n))
	}
	if err := s.read(ctx, args...); err != nil {
		return nil, errors.Join(err, s.Down())
	}
	return s, nil
}

// FreeAddress returns an address of loopback at which nothing listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Down stops all processes and removes their data.
func (s *Stack) Down() error {
	_, err := s.Run(context.Background(), "down")
	return err
}

// Refresh reads the parts and their states again.
func (s *Stack) Refresh(ctx context.Context) error { return s.read(ctx, "status", "--json") }

func (s *Stack) read(ctx context.Context, args ...string) error {
	text, err := s.Run(ctx, args...)
	if err != nil {
		return err
	}
	var status struct {
		Dir   string `json:"dir"`
		Parts []Part `json:"parts"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("decode the stack's status: %w", err)
	}
	s.Dir, s.Parts = status.Dir, status.Parts
	return nil
}

// Do applies a verb to a part, or to all parts of a service that are not yet in that
// state, and returns when it has taken effect.
func (s *Stack) Do(ctx context.Context, verb, name string) error {
	_, err := s.Run(ctx, "chaos", verb, name)
	return err
}

// EmptyRedis removes the data of a Redis that does not run.
func (s *Stack) EmptyRedis() error {
	stored := filepath.Join(s.Dir, "redis", "appendonlydir")
	if _, err := os.Stat(stored); err != nil {
		return err
	}
	return os.RemoveAll(stored)
}

// Run runs the stack command for this stack and returns its standard output.
func (s *Stack) Run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.options.Command, append(args, "--name", s.options.Name)...)
	cmd.Dir = s.options.Root
	cmd.Env = append(os.Environ(), s.options.Env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("stack %s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), nil
}

// Part returns the part of that name. It panics if there is none.
func (s *Stack) Part(name string) Part {
	for _, p := range s.Parts {
		if p.Name == name {
			return p
		}
	}
	panic("driver: no part " + name)
}

// Instances returns the parts of the services.
func (s *Stack) Instances(services ...string) []Part {
	var all []Part
	for _, service := range services {
		for _, p := range s.Parts {
			if p.Service == service {
				all = append(all, p)
			}
		}
	}
	return all
}
