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
	"syscall"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// reaperCommand is how the process supervisor calls this program again.
const reaperCommand = "reaper-of-a-stack"

func main() {
	if len(os.Args) == 2 && os.Args[1] == reaperCommand {
		process.Reap(os.Stdin)
		return
	}
	os.Exit(run(os.Args[1:]))
}

// app is one invocation.
type app struct {
	name     string // of the stack; "" leaves it to the command
	world    string // auto, local or docker
	environ  machine.Environ
	root     string
	self     string // the path of this program
	services []checkout.Service
	out, err io.Writer
	say      io.Writer // progress: out, unless out is for machines
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
		name: environ.Get("STACK_NAME"), world: cmp.Or(environ.Get("STACK_WORLD"), stack.Auto),
		environ: environ, out: os.Stdout, err: os.Stderr, say: os.Stdout,
	}
	err := a.dispatch(ctx, args)
	invalid := new(env.Error)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage), errors.As(err, &invalid):
		fmt.Fprintln(a.err, "stack:", err)
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
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
			if err := a.prepare(); err != nil {
				return err
			}
			return c.run(a, ctx, args[1:])
		}
	}
	return fmt.Errorf("no command %q: %w", args[0], errUsage)
}

func (a *app) prepare() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if a.self, err = os.Executable(); err != nil {
		return err
	}
	if a.root, err = checkout.Find(dir); err != nil {
		return err
	}
	if a.environ, err = a.environ.WithDefaults(filepath.Join(a.root, "build.env")); err != nil {
		return err
	}
	a.services, err = checkout.Services(a.root)
	return err
}
