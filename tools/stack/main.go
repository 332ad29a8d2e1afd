// Command stack drives the whole system on one machine: it runs it, shows its status,
// injects faults, runs the demo and the tests. It runs containers when a
// Docker engine answers and local processes otherwise, and prints which.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

func main() {
	process.ReapIfReaper()
	os.Exit(run(os.Args[1:]))
}

// app is one invocation.
type app struct {
	stack.Options        // Name is "" without --name; Progress is not out if that is for machines
	world         string // auto, local or docker
	out, err      io.Writer
}

var (
	errUsage    = errors.New("see stack help")
	errReported = errors.New("failed") // and the command has printed why
)

// Variables that invocations of this program set for each other.
const (
	detachedMark = "STACK_DETACHED" // by up --detach, for the process it leaves behind
	// By test: the stacks that tests start end when this folder is gone.
	endWithMark = "STACK_END_WITH"
)

// run returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once; the reaper then tidies up
	environ := machine.Environ(os.Environ())
	a := &app{
		Options: stack.Options{Name: environ.Get("STACK_NAME"), Environ: environ, Progress: os.Stdout},
		world:   cmp.Or(environ.Get("STACK_WORLD"), stack.Auto),
		out:     os.Stdout, err: os.Stderr,
	}
	err := a.dispatch(ctx, args)
	invalid := new(env.Error)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage), errors.As(err, &invalid):
		fmt.Fprintln(a.err, "stack:", err)
		return 2
	case ctx.Err() != nil: // interrupted; programs that it stopped report it in their own words
		return 130
	case !errors.Is(err, errReported):
		fmt.Fprintln(a.err, "stack:", err)
	}
	return 1
}

func (a *app) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(a.out)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			if err := a.prepare(c.name); err != nil {
				return err
			}
			return c.run(a, ctx, args[1:])
		}
	}
	return fmt.Errorf("no command %q: %w", args[0], errUsage)
}

// prepare reads the checkout. Commands on a stack that runs do not need the services'
// descriptions to be correct.
func (a *app) prepare(command string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if a.Root, err = checkout.Find(dir); err != nil {
		if command == "console" { // in a container, with the addresses of the services
			return nil
		}
		return err
	}
	if a.Environ, err = a.Environ.WithDefaults(filepath.Join(a.Root, "build.env")); err != nil {
		return err
	}
	a.Services, err = checkout.Services(a.Root)
	if slices.Contains([]string{"down", "status", "logs", "chaos"}, command) {
		return nil
	}
	return err
}
