package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/control"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// Names of stacks when --name says nothing.
const (
	nameUp    = "troika"
	nameDemo  = "troika-demo"
	nameInfra = "troika-infra"
)

var names = []string{nameUp, nameDemo, nameInfra}

// upFlags are the flags of up and infra.
type upFlags struct {
	detach, infraOnly, json bool
	launchOptions
}

func (a *app) up(ctx context.Context, args []string) error {
	f := upFlags{launchOptions: launchOptions{services: a.services, scale: scales{}}}
	var ports string
	fs := a.flags("up")
	fs.BoolVar(&f.detach, "detach", false, "")
	fs.BoolVar(&f.infraOnly, "infra-only", false, "")
	fs.BoolVar(&f.json, "json", false, "")
	fs.StringVar(&ports, "ports", "own", "")
	fs.StringVar(&f.redisVia, "redis-via", "", "")
	fs.Var(f.scale, "scale", "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if !slices.Contains([]string{"own", "free"}, ports) {
		return fmt.Errorf("up: --ports %q is neither own nor free: %w", ports, errUsage)
	}
	if _, _, err := net.SplitHostPort(f.redisVia); f.redisVia != "" && (err != nil || a.world != world.Local) {
		return fmt.Errorf("up: --redis-via wants HOST:PORT and --world local: %w", errUsage)
	}
	if err := f.scale.check(a.services); err != nil {
		return err
	}
	f.freePorts = ports == "free"
	if f.json {
		a.say = a.err
	}
	return a.start(ctx, f, slices.DeleteFunc(append([]string{"up"}, args...), isDetach))
}

func isDetach(arg string) bool {
	return arg == "--detach" || arg == "-detach" || arg == "--detach=true"
}

// infra is up --infra-only that prints what tests read.
func (a *app) infra(ctx context.Context, args []string) error {
	f := upFlags{infraOnly: true}
	fs := a.flags("infra")
	fs.BoolVar(&f.detach, "detach", false, "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if a.name == "" {
		a.name = nameInfra
	}
	a.say = a.err
	return a.start(ctx, f, []string{"infra"})
}

// start runs a stack in the world that is to be had. again is the command line
// that does the same in the foreground.
func (a *app) start(ctx context.Context, f upFlags, again []string) error {
	if a.name == "" {
		a.name = nameUp
	}
	if f.infraOnly {
		a.world, f.services = world.Local, nil // containers publish no such ports
	}
	if a.attached(ctx) != nil {
		return a.alreadyUp()
	}
	d, err := a.choose(ctx, f.launchOptions)
	if err != nil {
		return err
	}
	if d == nil && f.detach {
		if err := a.detach(ctx, again...); err != nil {
			return err
		}
		return a.show(ctx, f, a.attached(ctx))
	}
	s, err := a.launch(ctx, d, f.launchOptions)
	if err != nil {
		return err
	}
	detached := a.environ.Get(detachedMark) != ""
	if !detached { // or the waiting invocation shows it
		err = a.show(ctx, f, s)
	}
	if err == nil && (detached || f.detach) {
		err = s.settle()
	}
	if err == nil && !f.detach {
		a.hold(ctx, s)
	}
	if f.detach && err == nil {
		return nil
	}
	return a.stop(s, err)
}

// show prints the started stack and how it is ended.
func (a *app) show(ctx context.Context, f upFlags, w world.World) error {
	status, err := w.Status(ctx)
	switch {
	case err != nil:
		return err
	case f.json:
		return a.printJSON(status)
	case f.infraOnly:
		a.printExports(status)
	default:
		status.Print(a.out)
	}
	if f.detach {
		fmt.Fprintf(a.say, "in the background; stack down --name %s ends it\n", a.name)
	} else {
		fmt.Fprintf(a.say, "up until Ctrl-C, or stack down --name %s\n", a.name)
	}
	return nil
}

// stop ends a stack and says so.
func (a *app) stop(s *session, err error) error {
	began := time.Now()
	fmt.Fprintln(a.say, "stopping")
	err = errors.Join(err, s.close())
	fmt.Fprintf(a.say, "stopped in %s; nothing is left behind\n", world.Short(time.Since(began)))
	return err
}

func (a *app) printExports(status world.Status) {
	for _, p := range status.Parts {
		fmt.Fprintf(a.out, "export TEST_%s_URL='%s'\n", strings.ToUpper(p.Name), p.URL)
	}
}

// attached returns the running stack that --name means, or without one the
// first that runs of those this program starts; nil if there is none.
func (a *app) attached(ctx context.Context) world.World {
	candidates := []string{a.name}
	if a.name == "" {
		candidates = names
	}
	for _, name := range candidates {
		if c, ok := control.Attach(ctx, checkout.RunPath(a.root, name)); ok && a.world != world.Docker {
			return c
		}
	}
	for _, name := range candidates {
		d := &docker.Stack{Name: name, Root: a.root, Services: a.services, Environ: a.environ, Out: a.say}
		if a.world == world.Local {
			break
		}
		if status, err := d.Status(ctx); err == nil && status.Running() {
			return d
		}
	}
	return nil
}
