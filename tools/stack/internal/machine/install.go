package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/process"
)

// Ensure returns where the parts are, in their order, after installing by apt
// what is missing and may be installed. What it installs it announces on out.
// Anything still missing is a [*Missing] error.
func Ensure(ctx context.Context, k *process.Supervisor, out io.Writer, environ Environ, parts ...Part) ([]Found, error) {
	missing, packages := survey(ctx, environ, parts)
	if packages != nil {
		if err := install(ctx, k, out, packages); err != nil {
			return nil, err
		}
		missing, _ = survey(ctx, environ, parts)
	}
	if len(missing) > 0 {
		return nil, &Missing{Parts: missing}
	}
	var all []Found
	for _, part := range parts {
		found, _, _ := Look(ctx, part, environ)
		all = append(all, found)
	}
	return all, nil
}

// survey looks for the parts and answers what is missing and what apt should
// install for it.
func survey(ctx context.Context, environ Environ, parts []Part) (missing []MissingPart, packages []string) {
	for _, part := range parts {
		_, tried, ok := Look(ctx, part, environ)
		if ok {
			continue
		}
		if why := whyNotInstalled(environ, part); why != "" {
			tried = append(tried, why)
		} else {
			tried = append(tried, "apt-get install "+strings.Join(part.Packages, " or "))
			packages = append(packages, strings.Join(part.Packages, "|"))
		}
		missing = append(missing, MissingPart{Part: part, Tried: tried})
	}
	return missing, packages
}

// install runs apt-get so that no server of the system is started or set up:
// a policy-rc.d that denies every start and a setting that keeps Postgres'
// packages from making a cluster stand for as long as apt runs. The reaper
// takes them away should this process be killed meanwhile.
func install(ctx context.Context, k *process.Supervisor, out io.Writer, packages []string) error {
	turn, err := os.Open("/var/lib/dpkg") // one stack at a time
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := syscall.Flock(int(turn.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	started := time.Now()
	names, err := known(ctx, k, out, packages)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "installing %s with apt-get (no system-wide server is started)\n", strings.Join(names, " "))
	for path, text := range map[string]string{
		"/usr/sbin/policy-rc.d":                             "#!/bin/sh\nexit 101\n",
		"/etc/postgresql-common/createcluster.d/stack.conf": "create_main_cluster = false\n",
	} {
		restore, err := standIn(k, path, text)
		if err != nil {
			return err
		}
		defer restore()
	}
	// Finishes what a killed run left half done; nothing otherwise.
	_ = k.Run(ctx, process.Spec{Path: "dpkg", Args: []string{"--configure", "-a"}})
	args := []string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}
	if err := apt(ctx, k, append(args, names...)...); err != nil {
		return err
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil { // nor at the next boot
		_ = exec.CommandContext(ctx, "systemctl", "disable", "redis-server.service", "valkey-server.service").Run()
	}
	fmt.Fprintf(out, "installed in %s\n", time.Since(started).Round(100*time.Millisecond))
	return nil
}

// known picks of each "a|b" the first package that apt knows, after an update
// of its lists if it lacks one.
func known(ctx context.Context, k *process.Supervisor, out io.Writer, packages []string) ([]string, error) {
	pick := func() (names []string, unknown string) {
		for _, choice := range packages {
			var found string
			for name := range strings.SplitSeq(choice, "|") {
				args := append([]string{"install", "--simulate", "--no-install-recommends"}, strings.Fields(name)...)
				if found == "" && exec.CommandContext(ctx, "apt-get", args...).Run() == nil {
					found = name
				}
			}
			if found == "" {
				unknown = choice
			}
			names = append(names, strings.Fields(found)...)
		}
		return names, unknown
	}
	names, unknown := pick()
	if unknown == "" {
		return names, nil
	}
	fmt.Fprintln(out, "updating apt's package lists")
	if err := apt(ctx, k, "update"); err != nil {
		return nil, err
	}
	if names, unknown = pick(); unknown != "" {
		return nil, fmt.Errorf("apt-get knows no package %s", unknown)
	}
	return names, nil
}

func apt(ctx context.Context, k *process.Supervisor, args ...string) error {
	var log bytes.Buffer
	env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	err := k.Run(ctx, process.Spec{Path: "apt-get", Args: args, Env: env, Out: &log})
	if err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, log.String())
	}
	return nil
}

// standIn puts a file in the place of path until restore is called.
func standIn(k *process.Supervisor, path, text string) (restore func(), err error) {
	saved := path + ".before-stack"
	undo := []string{"sh", "-c", `rm -f "$0"; rmdir "${0%/*}" 2>/dev/null || true`, path}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(path, saved); err == nil {
		undo = []string{"mv", "-f", saved, path}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	k.RunOnExit(undo...)
	restore = func() {
		_ = exec.Command(undo[0], undo[1:]...).Run()
		k.CancelRun(undo...)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}
