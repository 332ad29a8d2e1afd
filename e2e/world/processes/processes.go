// Package processes is the world of local processes. It drives the stack
// command as a person would, by its arguments and what it prints as JSON.
package processes

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-troika/troika/e2e/world"
)

type processes struct {
	root  string // of the checkout
	stack string // the stack command
	name  string // of the running stack
	dir   string // where it keeps its data
	parts []part
}

var _ world.World = (*processes)(nil)

// part is one process, as "stack status --json" tells of it.
type part struct {
	Service   string `json:"service"`
	URL       string `json:"url"`
	AdminPort int    `json:"adminPort"`
}

// Uncached has go test repeat a test in each run of make test, which sets the first
// variable to another URL each time: that the services or the worlds have changed is
// not seen otherwise. What is read before m.Run does not count.
func Uncached() {
	_, _ = os.Getenv("TEST_POSTGRES_URL"), os.Getenv("TEST_WORLDS")
}

// Command finds the stack command of the checkout at root: at path, or, if that is
// "", where make builds it.
func Command(root, path string) (string, error) {
	path, err := filepath.Abs(cmp.Or(path, filepath.Join(root, "bin", "stack")))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: \"make test\" builds it, or set STACK_BIN", err)
	}
	return path, nil
}

// Start runs the stack of the checkout at root on free ports. stack is the path
// of the stack command; "" means bin/stack of the checkout.
func Start(ctx context.Context, root, stack string) (world.World, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if stack, err = Command(root, stack); err != nil {
		return nil, err
	}
	p := &processes{root: root, stack: stack, name: "e2e-" + strings.ToLower(rand.Text()[:6])}
	text, err := p.run(ctx, "up", "--detach", "--json", "--world", "local", "--ports", "free",
		"--scale", fmt.Sprintf("%s=%d", world.User, world.Replicas), "--name", p.name)
	if err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	var status struct {
		Dir   string `json:"dir"`
		Parts []part `json:"parts"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, errors.Join(fmt.Errorf("decode the stack's status: %w", err), p.Close(ctx))
	}
	p.dir, p.parts = status.Dir, status.Parts
	return p, nil
}

// run calls the stack command and answers its standard output.
func (p *processes) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.stack, args...)
	cmd.Dir = p.root
	cmd.Env = append(os.Environ(), "SERVICE_SECRET="+world.Secret,
		"BREAKER_COOLDOWN="+world.Cooldown, "LOG_LEVEL="+world.LogLevel)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("stack %s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), nil
}

func (p *processes) Name() string { return "local" }

func (p *processes) Instances(service string) []world.Instance {
	var all []world.Instance
	for _, part := range p.parts {
		if part.Service == service {
			all = append(all, world.Instance{URL: part.URL, Admin: fmt.Sprintf("http://127.0.0.1:%d", part.AdminPort)})
		}
	}
	return all
}

func (p *processes) chaos(ctx context.Context, verb, part string) error {
	_, err := p.run(ctx, "chaos", "--name", p.name, verb, part)
	return err
}

func (p *processes) Kill(ctx context.Context, part string) error { return p.chaos(ctx, "kill", part) }

func (p *processes) Start(ctx context.Context, part string) error {
	return p.chaos(ctx, "start", part)
}

func (p *processes) Pause(ctx context.Context, part string) error { return p.chaos(ctx, "pause", part) }

func (p *processes) Resume(ctx context.Context, part string) error {
	return p.chaos(ctx, "resume", part)
}

// Wipe removes what Redis has stored, which is all in one folder of its own.
func (p *processes) Wipe(ctx context.Context, part string) error {
	if part != world.Redis {
		return fmt.Errorf("wipe %s: only %s can lose its data", part, world.Redis)
	}
	if err := p.Kill(ctx, part); err != nil {
		return err
	}
	stored := filepath.Join(p.dir, "redis", "appendonlydir")
	if _, err := os.Stat(stored); err != nil {
		return err
	}
	return os.RemoveAll(stored)
}

func (p *processes) Run(ctx context.Context, service string, environ []string, args ...string) (string, int, error) {
	if !slices.Contains(world.Services, service) {
		return "", 0, fmt.Errorf("no service named %q", service)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.root, "bin", service), args...)
	cmd.Env = environ
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode(), nil
	}
	return string(text), 0, err
}

func (p *processes) Logs(ctx context.Context, part string) (string, error) {
	text, err := p.run(ctx, "logs", "--name", p.name, part)
	return string(text), err
}

func (p *processes) Close(ctx context.Context) error {
	_, err := p.run(ctx, "down", "--name", p.name)
	return err
}
