package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Names of stacks without --name.
const (
	nameUp    = "troika"
	nameDemo  = "troika-demo"
	nameInfra = "troika-infra"
)

var names = []string{nameUp, nameDemo, nameInfra}

// upFlags are the flags of up and infra, but those of [stack.Options].
type upFlags struct{ detach, infraOnly, json bool }

func (a *app) up(ctx context.Context, args []string) error {
	var f upFlags
	var ports string
	a.Scale = map[string]int{}
	fs := a.flags("up")
	fs.BoolVar(&f.detach, "detach", false, "")
	fs.BoolVar(&f.infraOnly, "infra-only", false, "")
	fs.BoolVar(&f.json, "json", false, "")
	fs.StringVar(&ports, "ports", "own", "")
	fs.StringVar(&a.RedisVia, "redis-via", "", "")
	fs.BoolVar(&a.Secure, "secure", false, "")
	fs.Func("scale", "", a.setScale)
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if ports != "own" && ports != "free" {
		return fmt.Errorf("up: --ports %q is neither own nor free: %w", ports, errUsage)
	}
	if _, _, err := net.SplitHostPort(a.RedisVia); a.RedisVia != "" && (err != nil || a.world != stack.Local) {
		return fmt.Errorf("up: --redis-via wants HOST:PORT and --world local: %w", errUsage)
	}
	if a.Secure && a.world != stack.Local {
		return fmt.Errorf("up: --secure wants --world local; for containers see deploy/production.yml: %w", errUsage)
	}
	a.FreePorts = ports == "free"
	if f.json {
		a.Progress = a.err
	}
	return a.start(ctx, f, nameUp)
}

// setScale sets the replicas of one service, from SERVICE=N.
func (a *app) setScale(text string) error {
	name, count, _ := strings.Cut(text, "=")
	if !slices.ContainsFunc(a.Services, func(s checkout.Service) bool { return s.Name == name }) {
		return fmt.Errorf("no service %q", name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 50 {
		return errors.New("want SERVICE=N with N from 1 to 50")
	}
	a.Scale[name] = n
	return nil
}

// infra is up --infra-only that prints the variables that tests read.
func (a *app) infra(ctx context.Context, args []string) error {
	f := upFlags{infraOnly: true}
	fs := a.flags("infra")
	fs.BoolVar(&f.detach, "detach", false, "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	a.Progress = a.err
	return a.start(ctx, f, nameInfra)
}

// start runs a stack until ctx ends, or leaves it in the background.
func (a *app) start(ctx context.Context, f upFlags, defaultName string) error {
	if f.infraOnly {
		a.world, a.Services = stack.Local, nil // containers publish no such ports
	}
	d, err := a.choose(ctx, defaultName)
	if err != nil {
		return err
	}
	if d == nil && !f.infraOnly && !a.FreePorts {
		if err := a.sendTraces(); err != nil {
			return err
		}
	}
	if d == nil && f.detach && !a.detached() {
		s, err := a.detach(ctx)
		if err != nil {
			return err
		}
		return a.show(ctx, f, s)
	}
	s, err := a.launch(ctx, d)
	if err != nil {
		return err
	}
	if a.detached() { // the waiting invocation shows it
		err = s.Leave()
	} else if err = a.show(ctx, f, s); err == nil && f.detach {
		return s.Leave()
	}
	if err == nil {
		a.hold(ctx, s)
	}
	return a.stop(s, err)
}

// show prints the started stack and how to stop it.
func (a *app) show(ctx context.Context, f upFlags, s stack.Handle) error {
	status, err := s.Status(ctx)
	switch {
	case err != nil:
		return err
	case f.json:
		return a.printJSON(status)
	case f.infraOnly:
		for _, p := range status.Parts {
			fmt.Fprintf(a.out, "export %s='%s'\n", p.TestVariable(), p.URL)
		}
	default:
		status.Print(a.out)
	}
	if f.detach {
		fmt.Fprintf(a.Progress, "in the background; bin/stack down --name %s ends it\n", a.Name)
	} else {
		fmt.Fprintf(a.Progress, "up until Ctrl-C, or bin/stack down --name %s\n", a.Name)
	}
	return nil
}

func (a *app) stop(s launched, err error) error {
	began := time.Now()
	fmt.Fprintln(a.Progress, "stopping")
	err = errors.Join(err, s.Down(context.Background()))
	fmt.Fprintf(a.Progress, "stopped in %s; nothing is left behind\n", stack.Short(time.Since(began)))
	return err
}

func (a *app) printJSON(status stack.Status) error {
	text, err := json.MarshalIndent(status, "", "  ")
	fmt.Fprintf(a.out, "%s\n", text)
	return err
}

// attached returns the running stack of the name in --name, or without one the
// first that runs of those with the names of this program; nil if there is none.
func (a *app) attached(ctx context.Context) stack.Handle {
	candidates := []string{a.Name}
	if a.Name == "" {
		candidates = names
	}
	for _, name := range candidates {
		if a.world != stack.Docker {
			if c, ok := local.Attach(ctx, checkout.RunPath(a.Root, name)); ok {
				return c
			}
		}
		if a.world != stack.Local {
			d := &docker.Stack{Options: a.Options}
			d.Name = name
			if status, err := d.Status(ctx); err == nil && status.Running() {
				return d
			}
		}
	}
	return nil
}
