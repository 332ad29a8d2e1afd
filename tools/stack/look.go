package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/client"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// running returns the running stack that --name means.
func (a *app) running(ctx context.Context) (stack.Handle, error) {
	if s := a.attached(ctx); s != nil {
		return s, nil
	}
	if a.Name != "" {
		return nil, fmt.Errorf("no stack %s is up", a.Name)
	}
	return nil, fmt.Errorf("none of the stacks %s is up; bin/stack up starts one, --name means another",
		strings.Join(names, ", "))
}

// runningStatus returns the status of that stack.
func (a *app) runningStatus(ctx context.Context) (stack.Status, error) {
	s, err := a.running(ctx)
	if err != nil {
		return stack.Status{}, err
	}
	return s.Status(ctx)
}

func (a *app) down(ctx context.Context, args []string) error {
	if _, err := a.parse(a.flags("down"), args, 0, 0); err != nil {
		return err
	}
	s := a.attached(ctx)
	if s == nil {
		fmt.Fprintln(a.out, "nothing is up")
		return nil
	}
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "stopping stack %s (%s)\n", status.Name, stack.Describe(status.World))
	return s.Down(ctx)
}

func (a *app) status(ctx context.Context, args []string) error {
	fs := a.flags("status")
	asJSON := fs.Bool("json", false, "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	status, err := a.runningStatus(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return a.printJSON(status)
	}
	status.Print(a.out)
	return nil
}

func (a *app) logs(ctx context.Context, args []string) error {
	fs := a.flags("logs")
	follow := fs.Bool("f", false, "")
	rest, err := a.parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	s, err := a.running(ctx)
	if err != nil {
		return err
	}
	return s.Logs(ctx, a.out, *follow, append(rest, "")[0])
}

func (a *app) chaos(ctx context.Context, args []string) error {
	rest, err := a.parse(a.flags("chaos"), args, 2, 2)
	if err != nil {
		return err
	}
	if !slices.Contains(stack.Verbs, rest[0]) {
		return fmt.Errorf("chaos: no verb %q: %w", rest[0], errUsage)
	}
	s, err := a.running(ctx)
	if err != nil {
		return err
	}
	return s.Chaos(ctx, rest[0], rest[1])
}

func (a *app) token(_ context.Context, args []string) error {
	fs := a.flags("token")
	service := fs.String("service", "gateway", "")
	audience := fs.String("audience", "", "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if *audience == "" {
		return fmt.Errorf("token: --audience, the service to call, is missing: %w", errUsage)
	}
	sign, err := a.signer(*service)
	if err != nil {
		return err
	}
	token, err := sign(*audience)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, token)
	return nil
}

// signer signs tokens for service with its key in STACK_KEYS, else with the secret of
// the stack's services: the environment's, or the demo's.
func (a *app) signer(service string) (client.Signer, error) {
	cfg, err := env.Load[struct {
		serviceauth.Config
		AppEnv string `env:"APP_ENV" envDefault:"development"`
	}](a.Environ, local.Keys(a.Environ, service)...)
	if err != nil {
		return nil, err
	}
	keys, err := serviceauth.ParseKeys(cfg.Config, service, cfg.AppEnv)
	if err != nil {
		return nil, err
	}
	return serviceauth.NewSigner(keys, service).Token, nil
}

// doctor prints whether the parts of a stack are on this machine.
func (a *app) doctor(ctx context.Context, args []string) error {
	if _, err := a.parse(a.flags("doctor"), args, 0, 0); err != nil {
		return err
	}
	var missing machine.Missing
	for _, part := range []machine.Part{machine.Postgres, machine.Redis, machine.Compiler} {
		found, tried := machine.Find(ctx, part, a.Environ)
		if found.Path != "" {
			fmt.Fprintf(a.out, "ok       %s: %s %s\n", part.Title, found.Path, found.Version)
			continue
		}
		fmt.Fprintf(a.out, "missing  %s\n", part.Title)
		missing = append(missing, machine.MissingPart{Part: part, Tried: tried})
	}
	world := stack.Local
	if err := docker.Engine(ctx, a.Root); err != nil {
		fmt.Fprintf(a.out, "missing  Docker: %v\n", err)
	} else {
		fmt.Fprintln(a.out, "ok       a Docker engine that takes compose.yaml")
		if a.world != stack.Local {
			world = stack.Docker
		}
	}
	for _, s := range a.Services {
		if !machine.IsFree(s.Port) {
			fmt.Fprintf(a.out, "busy     port %d: %s will take another\n", s.Port, s.Name)
		}
	}
	if missing != nil {
		fmt.Fprintln(a.out, missing)
	}
	fmt.Fprintf(a.out, "stack up would run %s\n", stack.Describe(world))
	return nil
}
