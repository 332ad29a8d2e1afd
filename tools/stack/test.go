package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// test runs the workspace's tests. Every test has what it needs, or the command
// fails: nothing is skipped because a server is missing.
func (a *app) test(ctx context.Context, args []string) error {
	flags := []string{"-race", "-timeout=30m"}
	fs := a.flags("test")
	run := fs.String("run", "", "")
	short := fs.Bool("short", false, "")
	patterns, err := a.parse(fs, args, 0, 1000)
	if err != nil {
		return err
	}
	if *run != "" {
		flags = append(flags, "-run="+*run)
	}
	if *short {
		flags = append(flags, "-short")
	}
	suites, err := a.suites(patterns)
	if err != nil {
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
	err = a.testOn(ctx, stack, self, flags, suites)
	return errors.Join(err, stack.Down(context.WithoutCancel(ctx)))
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
	return strings.HasPrefix(module, "./e2e/") || strings.HasPrefix(module, "./lab/") || strings.HasPrefix(module, "./tools/")
}

// testAll runs go test for each suite, one after the other, and reports whether any failed.
const testAll = `failed=0; for suite; do go test -json $TEST_FLAGS $suite || failed=1; done; exit $failed`

// countTests prints the last line, from variables that gotestsum sets.
const countTests = `sh -c 'echo "$((TESTS_TOTAL - TESTS_FAILED - TESTS_SKIPPED)) passed, $TESTS_FAILED failed, $TESTS_SKIPPED skipped"'`

func (a *app) testOn(ctx context.Context, stack *local.Stack, self string, flags []string, suites [][]string) error {
	if _, err := machine.Ensure(ctx, stack.Supervisor(), a.out, a.environ, machine.Compiler); err != nil {
		return err
	}
	set := map[string]string{
		"STACK_BIN": self, "TEST_WORLDS": a.testWorlds(ctx), endWithMark: stack.Dir().Path,
		"CGO_ENABLED": "1", "TEST_FLAGS": strings.Join(flags, " "),
	}
	if a.environ.Get("TEST_POSTGRES_URL") == "" || a.environ.Get("TEST_REDIS_URL") == "" {
		if err := stack.Up(ctx); err != nil {
			return err
		}
		set["TEST_POSTGRES_URL"], set["TEST_REDIS_URL"] = stack.Infra()
	} else {
		fmt.Fprintln(a.out, "Postgres and Redis: those of TEST_POSTGRES_URL and TEST_REDIS_URL")
	}
	fmt.Fprintln(a.out, "compiling with the race detector (several minutes of CPU from an empty cache, seconds when nothing changed)")
	args := []string{
		"tool", "gotestsum", "--format=pkgname", "--format-icons=text", "--format-hide-empty-pkg",
		"--post-run-command", countTests, "--raw-command", "--", "sh", "-c", testAll, "sh",
	}
	for _, suite := range suites {
		args = append(args, strings.Join(suite, " "))
	}
	p, err := stack.Supervisor().Start(process.Spec{Path: "go", Args: args, Dir: a.root, Env: a.environ.With(set), Out: a.out})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { p.Stop(syscall.SIGTERM, 10*time.Second) })
	defer stop()
	if err := p.Wait(ctx, 10*time.Second); err != nil {
		return errors.Join(ctx.Err(), errReported)
	}
	return nil
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
