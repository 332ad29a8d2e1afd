// Command stack drives the whole system on one machine: it runs it, shows it,
// disturbs it, plays the demo and runs the tests. It runs containers when a
// Docker engine answers and local processes otherwise, and says which.
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
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// reaperCommand is how the process supervisor calls this program again.
const reaperCommand = "reaper-of-a-stack"

func main() {
	if len(os.Args) == 2 && os.Args[1] == reaperCommand {
		process.Reap(os.Stdin)
		return
	}
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// app is one invocation.
type app struct {
	name     string // of the stack; "" leaves it to the command
	world    string // auto, local or docker
	environ  machine.Environ
	root     string
	services []checkout.Service
	out, err io.Writer
	say      io.Writer // progress: out, unless out is for machines
}

var (
	errUsage    = errors.New("see stack help")
	errReported = errors.New("failed") // and the command has told of it already
)

// Variables that invocations of this program set for each other.
const (
	detachedMark = "STACK_DETACHED" // by up --detach, for the process it leaves behind
	// By test: the stacks that tests start end when this folder is gone.
	endWithMark = "STACK_END_WITH"
)

// run is main without the process: it answers the exit code.
func run(args []string, environ machine.Environ, out, errs io.Writer) int {
	ctx, stop := untilSignal(errs)
	defer stop()
	a := &app{
		name: environ.Get("STACK_NAME"), world: cmp.Or(environ.Get("STACK_WORLD"), world.Auto),
		environ: environ, out: out, err: errs, say: out,
	}
	err := a.dispatch(ctx, args)
	invalid := new(env.Error)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage), errors.As(err, &invalid):
		fmt.Fprintln(errs, "stack:", err)
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	default:
		if !errors.Is(err, errReported) {
			fmt.Fprintln(errs, "stack:", err)
		}
		return 1
	}
}

func (a *app) dispatch(ctx context.Context, args []string) (err error) {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(a.out)
		return nil
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		if a.root, err = checkout.Find(dir); err != nil {
			return err
		}
		if a.environ, err = a.environ.WithDefaults(filepath.Join(a.root, "build.env")); err != nil {
			return err
		}
		if a.services, err = checkout.Services(a.root); err != nil && c.needsServices {
			return err
		}
		return c.run(a, ctx, args[1:])
	}
	return fmt.Errorf("no command %q: %w", args[0], errUsage)
}

// untilSignal returns a context that the first SIGINT, SIGTERM or SIGHUP ends.
// The second ends the process at once; the reaper then tidies up.
func untilSignal(errs io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(errs, "stopping at once")
		os.Exit(130)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}
