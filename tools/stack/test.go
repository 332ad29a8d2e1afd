package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/gotest"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// test runs the workspace's tests. Every test has what it needs, or the command
// fails: nothing is skipped because a server is missing.
func (a *app) test(ctx context.Context, args []string) error {
	o := gotest.Options{Root: a.root, Out: a.out, TrimName: checkout.Prefix}
	fs := a.flags("test")
	fs.StringVar(&o.Run, "run", "", "")
	fs.BoolVar(&o.Short, "short", false, "")
	patterns, err := a.parse(fs, args, 0, 1000)
	if err != nil {
		return err
	}
	if o.Suites, err = a.suites(patterns); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stack, err := local.New(local.Options{
		Name: fmt.Sprintf("test-%d", os.Getpid()), Root: a.root,
		Environ: a.environ, Reaper: []string{self, reaperCommand}, Out: a.out,
	})
	if err != nil {
		return err
	}
	count, err := a.testOn(ctx, stack, o, self)
	if err = errors.Join(err, stack.Down(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	fmt.Fprintln(a.out, count)
	if count.Failed > 0 {
		return errSaid
	}
	return nil
}

// suites are the packages to test, after flags of their own. What drives whole
// stacks comes last and alone, one package at a time, so that nothing competes with
// what it times.
func (a *app) suites(patterns []string) ([][]string, error) {
	if len(patterns) > 0 {
		return [][]string{patterns}, nil
	}
	modules, err := checkout.Modules(a.root)
	if err != nil {
		return nil, err
	}
	suites := [][]string{slices.DeleteFunc(slices.Clone(modules), drivesStacks)}
	for _, module := range modules {
		if drivesStacks(module) {
			suites = append(suites, []string{"-p=1", module})
		}
	}
	return suites, nil
}

func drivesStacks(module string) bool {
	return strings.HasPrefix(module, "./e2e/") || strings.HasPrefix(module, "./tools/")
}

func (a *app) testOn(ctx context.Context, stack *local.Stack, o gotest.Options, self string) (gotest.Count, error) {
	if _, err := machine.Ensure(ctx, stack.Keeper(), a.out, a.environ, machine.Compiler); err != nil {
		return gotest.Count{}, err
	}
	set := map[string]string{"STACK_BIN": self, "TEST_WORLDS": a.testWorlds(ctx), endWithMark: stack.Dir().Path}
	if a.environ.Get("TEST_POSTGRES_URL") == "" || a.environ.Get("TEST_REDIS_URL") == "" {
		if err := stack.Up(ctx); err != nil {
			return gotest.Count{}, err
		}
		set["TEST_POSTGRES_URL"], set["TEST_REDIS_URL"] = stack.Infra()
	} else {
		fmt.Fprintln(a.out, "Postgres and Redis: those of TEST_POSTGRES_URL and TEST_REDIS_URL")
	}
	fmt.Fprintln(a.out, "compiling with the race detector (several minutes of CPU from an empty cache, seconds when nothing changed)")
	o.Env = a.environ.With(set).With(map[string]string{"CGO_ENABLED": "1"})
	return gotest.Run(ctx, stack.Keeper(), o)
}

// testWorlds says which worlds the end-to-end tests run in.
func (a *app) testWorlds(ctx context.Context) string {
	if set := a.environ.Get("TEST_WORLDS"); set != "" {
		fmt.Fprintf(a.out, "end-to-end tests run in: %s (TEST_WORLDS)\n", set)
		return set
	}
	if a.world == world.Local {
		fmt.Fprintln(a.out, "end-to-end tests run on local processes; the container world is not run, as asked")
		return world.Local
	}
	if err := docker.Engine(ctx, a.root); err != nil {
		fmt.Fprintf(a.out, "end-to-end tests run on local processes; the container world is not run: %v\n", err)
		return world.Local
	}
	fmt.Fprintln(a.out, "end-to-end tests run on local processes and on containers")
	return world.Local + "," + world.Docker
}
