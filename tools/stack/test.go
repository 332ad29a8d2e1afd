package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/docker"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// test runs the workspace's tests. Every test has the servers it needs, or the command
// fails: no test is skipped because a server is missing.
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
	a.Name, a.Services = fmt.Sprintf("test-%d", os.Getpid()), nil
	l, err := local.New(ctx, a.Options)
	if err != nil {
		return err
	}
	return errors.Join(a.testOn(ctx, l, flags, suites), l.Down(ctx))
}

// suites returns the packages to test, after their flags. Those that start whole
// stacks come last, one at a time, so that nothing competes with what they time.
func (a *app) suites(patterns []string) ([]string, error) {
	if len(patterns) > 0 {
		return []string{strings.Join(patterns, " ")}, nil
	}
	modules, err := checkout.Modules(a.Root)
	if err != nil {
		return nil, err
	}
	var first []string
	last := []string{"-p=1"}
	for _, module := range modules {
		if strings.Contains(module, "/e2e/") || strings.Contains(module, "/lab/") || strings.Contains(module, "/tools/") {
			last = append(last, module)
		} else {
			first = append(first, module)
		}
	}
	return []string{strings.Join(first, " "), strings.Join(last, " ")}, nil
}

// testAll runs go test for each suite, one after the other, and reports whether any failed.
const testAll = `failed=0; for suite; do go test -json $TEST_FLAGS $suite || failed=1; done; exit $failed`

// countTests prints the last line, from variables that gotestsum sets.
const countTests = `sh -c 'passed=$((TESTS_TOTAL - TESTS_FAILED - TESTS_SKIPPED))
echo "$passed passed, $TESTS_FAILED failed, $TESTS_SKIPPED skipped"'`

func (a *app) testOn(ctx context.Context, l *local.Stack, flags, suites []string) error {
	if _, err := machine.Ensure(ctx, l.Supervisor(), a.out, a.Environ, machine.Compiler); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if a.Environ.Get("TEST_POSTGRES_URL") == "" || a.Environ.Get("TEST_REDIS_URL") == "" {
		if err := l.Up(ctx); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.out, "Postgres and Redis: those of TEST_POSTGRES_URL and TEST_REDIS_URL")
	}
	status, err := l.Status(ctx)
	if err != nil {
		return err
	}
	set := map[string]string{
		"STACK_BIN": self, "TEST_WORLDS": a.testWorlds(ctx), endWithMark: status.Dir,
		"CGO_ENABLED": "1", "TEST_FLAGS": strings.Join(flags, " "),
	}
	for _, p := range status.Parts {
		set[p.TestVariable()] = p.URL
	}
	fmt.Fprintln(a.out, "compiling with the race detector "+
		"(several minutes of CPU from an empty cache, seconds when nothing changed)")
	cmd := exec.Command("go", "tool", "gotestsum", "--format=pkgname", "--format-icons=text", "--format-hide-empty-pkg",
		"--post-run-command", countTests, "--raw-command", "--", "sh", "-c", testAll, "sh")
	cmd.Args = append(cmd.Args, suites...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = a.Root, a.Environ.With(set), a.out, a.out
	if err := l.Supervisor().Run(ctx, cmd); err != nil {
		return errors.Join(ctx.Err(), errReported)
	}
	return nil
}

// testWorlds returns the value of TEST_WORLDS for the end-to-end tests, and prints it.
func (a *app) testWorlds(ctx context.Context) string {
	worlds, why := a.Environ.Get("TEST_WORLDS"), "TEST_WORLDS"
	if worlds == "" {
		worlds, why = stack.Local, "as asked"
		if a.world != stack.Local {
			if err := docker.Engine(ctx, a.Root); err != nil {
				why = err.Error()
			} else {
				worlds, why = stack.Local+","+stack.Docker, "a Docker engine answers"
			}
		}
	}
	fmt.Fprintf(a.out, "end-to-end tests run in: %s (%s)\n", worlds, why)
	return worlds
}
