package machine

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/go-troika/troika/tools/stack/internal/process"
)

// Ensure returns where the parts are, in their order, after installing with apt-get
// those that are missing, if it may. It announces on out what it installs.
// If parts are still missing, the error is [Missing].
func Ensure(
	ctx context.Context, supervisor *process.Supervisor, out io.Writer, environ Environ, parts ...Part,
) ([]Found, error) {
	found, missing := findAll(ctx, environ, parts)
	var packages []string
	for i, m := range missing {
		if why := whyNotInstalled(environ, m.Part); why != "" {
			missing[i].Tried = append(m.Tried, why)
		} else {
			packages = append(packages, m.Part.Packages)
		}
	}
	if packages != nil {
		if err := install(ctx, supervisor, out, packages); err != nil {
			return nil, err
		}
		found, missing = findAll(ctx, environ, parts)
	}
	if missing != nil {
		return nil, missing
	}
	return found, nil
}

func findAll(ctx context.Context, environ Environ, parts []Part) (all []Found, missing Missing) {
	for _, part := range parts {
		found, tried := Find(ctx, part, environ)
		if found.Path == "" {
			missing = append(missing, MissingPart{part, tried})
		}
		all = append(all, found)
	}
	return all, missing
}

//go:embed install.sh
var installScript string

func install(ctx context.Context, supervisor *process.Supervisor, out io.Writer, packages []string) error {
	script := func(args ...string) []string { return append([]string{"sh", "-c", installScript, "sh"}, args...) }
	supervisor.RunOnExit(script("undo")...)
	defer supervisor.CancelRun(script("undo")...)
	argv := script(append([]string{"install"}, packages...)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &log
	if err := supervisor.Run(ctx, cmd); err != nil {
		return fmt.Errorf("install %s: %w\n%s", strings.Join(packages, " "), err, log.String())
	}
	return nil
}

// whyNotInstalled returns in a line why apt-get can't install the part, or "" if it can.
func whyNotInstalled(environ Environ, part Part) string {
	_, noApt := os.Stat("/usr/bin/apt-get")
	switch {
	case environ.Get("STACK_NO_INSTALL") != "":
		return "not installed, because STACK_NO_INSTALL is set"
	case part.Setting != "" && environ.Get(part.Setting) != "":
		return "not installed, because " + part.Setting + " is set"
	case noApt != nil:
		return "not installed: there is no apt-get here"
	case os.Geteuid() != 0:
		return "not installed: only root may"
	default:
		return ""
	}
}

// Missing is the error for parts that are neither there nor installable. It
// lists everything that was tried, and a line to install all per system.
type Missing []MissingPart

// MissingPart is one part that was not found.
type MissingPart struct {
	Part  Part
	Tried []string // a line for each place
}

// Error returns the message, on several lines.
func (m Missing) Error() string {
	var b strings.Builder
	for _, p := range m {
		fmt.Fprintf(&b, "missing: %s\n  tried:\n    %s\n", p.Part.Title, strings.Join(p.Tried, "\n    "))
	}
	b.WriteString(`to install:
    Debian, Ubuntu  sudo apt-get install --no-install-recommends postgresql redis-server gcc libc6-dev
    Fedora          sudo dnf install postgresql-server valkey gcc glibc-devel
    Alpine          apk add postgresql17 valkey gcc musl-dev
    Arch            sudo pacman -S --needed postgresql valkey gcc
    macOS           brew install postgresql@17 redis && xcode-select --install
(PG_BINDIR names the folder of Postgres' programs when they lie elsewhere)`)
	return b.String()
}
