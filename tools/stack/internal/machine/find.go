// Package machine finds the servers a stack needs on this machine, and installs
// those that are missing where it may.
package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Part is a kind of program that a stack needs.
type Part struct {
	Title    string   // for people
	Programs []string // any one will do
	Beside   []string // programs that must lie in the same folder
	Major    int      // the oldest version that serves
	Setting  string   // variable naming the folder; once set, no other is searched
	Places   []string // glob patterns of folders searched after PATH
	Packages string   // what apt-get installs: alternatives, as a|b
	Check    func(ctx context.Context, path string) error
}

// The parts of a stack of processes, and of the tests.
var (
	Postgres = Part{
		Title: "PostgreSQL 15 or newer", Programs: []string{"postgres"}, Beside: []string{"initdb"},
		Major: 15, Setting: "PG_BINDIR", Packages: "postgresql",
		Places: []string{
			"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
			"/opt/homebrew/opt/postgresql@*/bin", "/opt/homebrew/bin", "/usr/local/opt/postgresql@*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		},
	}
	Redis = Part{
		Title: "Redis 7 or newer, or Valkey", Programs: []string{"redis-server", "valkey-server"},
		Major: 7, Packages: "redis-server|valkey-server",
		Places: []string{"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin"},
	}
	Compiler = Part{
		Title:    "a C compiler with the C library's headers (the race detector links with them)",
		Programs: []string{"gcc", "clang", "cc"}, Packages: "gcc libc6-dev", Check: compiles,
	}
)

// Found is a program on this machine.
type Found struct {
	Path    string
	Version string // as the program prints it; "" if Major is 0
}

// Dir returns the folder the program lies in.
func (f Found) Dir() string { return filepath.Dir(f.Path) }

// Find searches the machine for a part. If it is not there, found is zero and tried has
// a line for each program that does not serve, or one with the places searched.
func Find(ctx context.Context, part Part, environ Environ) (found Found, tried []string) {
	searched := append([]string{"PATH"}, part.Places...)
	dirs := filepath.SplitList(environ.Get("PATH"))
	for _, pattern := range part.Places {
		matches, _ := filepath.Glob(pattern)
		dirs = append(dirs, newestFirst(matches)...)
	}
	if dir := environ.Get(part.Setting); part.Setting != "" && dir != "" {
		searched, dirs = []string{part.Setting + "=" + dir + " (nowhere else, because it is set)"}, []string{dir}
	}
	for _, dir := range dirs {
		for _, program := range part.Programs {
			path, err := exec.LookPath(filepath.Join(dir, program))
			if err != nil {
				continue
			}
			if found, err = part.examine(ctx, path); err == nil {
				return found, nil
			}
			tried = append(tried, fmt.Sprintf("%s: %v", path, err))
		}
	}
	if tried == nil {
		tried = []string{fmt.Sprintf("no %s in %s", strings.Join(part.Programs, " or "), strings.Join(searched, ", "))}
	}
	return Found{}, tried
}

// examine follows links, so that Beside is searched for where the program really lies,
// and runs the program for its version.
func (part Part) examine(ctx context.Context, path string) (Found, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil && len(part.Beside) > 0 {
		path = real
	}
	for _, name := range part.Beside {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil {
			return Found{}, fmt.Errorf("no %s beside it", name)
		}
	}
	if part.Check != nil {
		return Found{Path: path}, part.Check(ctx, path)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Found{}, err
	}
	version, major := ParseVersion(string(out))
	if major < part.Major {
		return Found{}, fmt.Errorf("version %s is too old", version)
	}
	return Found{Path: path, Version: version}, nil
}

var versionNumber = regexp.MustCompile(`\b(?:v=)?((\d+)(?:\.\d+)*)`)

// ParseVersion finds the version in what a server prints for --version, such as
// "postgres (PostgreSQL) 15.18" or "Redis server v=7.0.15 sha=…".
func ParseVersion(text string) (version string, major int) {
	match := versionNumber.FindStringSubmatch(text)
	if match == nil {
		return "unknown", 0
	}
	major, _ = strconv.Atoi(match[2])
	return match[1], major
}

var digits = regexp.MustCompile(`\d+`)

// newestFirst sorts folders by the number in their names, 17 before 15 before 9.
func newestFirst(dirs []string) []string {
	number := func(dir string) int {
		n, _ := strconv.Atoi(digits.FindString(dir))
		return n
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return number(b) - number(a) })
	return dirs
}

// compiles tries the compiler on a header of the C library.
func compiles(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, path, "-fsyntax-only", "-x", "c", "-")
	cmd.Stdin = strings.NewReader("#include <stdlib.h>\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot compile a file that includes <stdlib.h>: %s", strings.TrimSpace(string(out)))
	}
	return nil
}
