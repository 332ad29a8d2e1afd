// Package processes is the environment of local processes, which the stack command runs.
package processes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
)

type processes struct {
	*driver.Stack
	root string // of the checkout
}

var _ environment.Environment = (*processes)(nil)

// Uncached makes go test repeat a test in each run of make test, which sets the first
// variable to another URL each time: go test does not see that the services have changed.
// Variables read before m.Run do not count.
func Uncached() {
	_, _ = os.Getenv("TEST_POSTGRES_URL"), os.Getenv("TEST_WORLDS")
}

// Start runs the stack of the checkout at root on free ports. command is the path of the
// stack command; with "" it is built first. With TEST_SECURE=1 services and Redis are
// protected as in production.
func Start(ctx context.Context, root, command string) (environment.Environment, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	o := driver.Options{
		Root: root, Command: command, Name: "e2e-" + strings.ToLower(rand.Text()[:6]),
		Scale: map[string]int{environment.User: environment.Replicas},
		Env:   []string{"BREAKER_COOLDOWN=" + environment.Cooldown, "LOG_LEVEL=" + environment.LogLevel},
	}
	secure := os.Getenv("TEST_SECURE") == "1"
	if secure {
		o.Env, o.Args = append(o.Env, "APP_ENV=production"), []string{"--secure"}
	} else {
		o.Env = append(o.Env, "SERVICE_SECRET="+environment.Secret)
	}
	s, err := driver.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	if secure {
		environment.Keys = filepath.Join(s.Dir, "keys")
	}
	return &processes{s, root}, nil
}

func (p *processes) Name() string { return "local" }

func (p *processes) Instances(service string) []environment.Instance {
	var all []environment.Instance
	for _, part := range p.Stack.Instances(service) {
		all = append(all, environment.Instance{URL: part.URL, Admin: part.Admin()})
	}
	return all
}

func (p *processes) Kill(ctx context.Context, part string) error {
	return p.Do(ctx, driver.Kill, part)
}

func (p *processes) Start(ctx context.Context, part string) error {
	return p.Do(ctx, driver.Start, part)
}

func (p *processes) Pause(ctx context.Context, part string) error {
	return p.Do(ctx, driver.Pause, part)
}

func (p *processes) Resume(ctx context.Context, part string) error {
	return p.Do(ctx, driver.Resume, part)
}

// Wipe removes what Redis has stored, which is all in one folder.
func (p *processes) Wipe(ctx context.Context, part string) error {
	if part != environment.Redis {
		return fmt.Errorf("wipe %s: only %s can lose its data", part, environment.Redis)
	}
	if err := p.Kill(ctx, part); err != nil {
		return err
	}
	return p.EmptyRedis()
}

func (p *processes) Run(ctx context.Context, service string, environ []string, args ...string) (string, int, error) {
	if !slices.Contains(environment.Services, service) {
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
	text, err := p.Stack.Run(ctx, "logs", part)
	return string(text), err
}

func (p *processes) Close(context.Context) error { return p.Down() }
