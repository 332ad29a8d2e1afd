package machine

import (
	"fmt"
	"os"
	"strings"
)

// Missing is the error for parts that are neither there nor installable. It
// lists everything that was tried, and a line to install all per system.
type Missing struct {
	Parts []MissingPart
}

// MissingPart is one part that was not found.
type MissingPart struct {
	Part  Part
	Tried []string
}

// advice has one line per system; each installs all that a stack and its tests
// need.
var advice = []struct{ system, command string }{
	{"Debian, Ubuntu", "sudo apt-get install --no-install-recommends postgresql redis-server gcc libc6-dev"},
	{"Fedora", "sudo dnf install postgresql-server valkey gcc glibc-devel"},
	{"Alpine", "apk add postgresql17 valkey gcc musl-dev"},
	{"Arch", "sudo pacman -S --needed postgresql valkey gcc"},
	{"macOS", "brew install postgresql@17 redis && xcode-select --install"},
}

// Error is the whole message, on several lines.
func (m *Missing) Error() string {
	var b strings.Builder
	for i, p := range m.Parts {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "missing: %s\n  tried:\n", p.Part.Title)
		for _, line := range p.Tried {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	b.WriteString("to install:\n")
	for _, a := range advice {
		fmt.Fprintf(&b, "    %-15s %s\n", a.system, a.command)
	}
	b.WriteString("(PG_BINDIR names the folder of Postgres' programs when they lie elsewhere)")
	return b.String()
}

// whyNotInstalled says in a line why apt is no way out here, or "" if it is.
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
