package machine_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/tools/stack/internal/machine"
)

// install writes a program that prints text into a folder below dir and answers
// the folder.
func install(t *testing.T, dir, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", text)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// postgres is [machine.Postgres], searched for below root only.
func postgres(root string) machine.Part {
	part := machine.Postgres
	part.Places = []string{filepath.Join(root, "lib", "*", "bin"), filepath.Join(root, "brew@*")}
	return part
}

func TestFindFollowsItsOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	version := func(dir string, n int) string {
		install(t, dir, "initdb", "")
		return install(t, dir, "postgres", fmt.Sprintf("postgres (PostgreSQL) %d.1 (Debian %d.1-1)", n, n))
	}
	set := version(filepath.Join(root, "set"), 15)
	path := version(filepath.Join(root, "path"), 16)
	older := version(filepath.Join(root, "lib", "9", "bin"), 15)
	newer := version(filepath.Join(root, "lib", "17", "bin"), 17)
	for _, test := range []struct {
		name    string
		environ machine.Environ
		want    string
	}{
		{"the setting first", machine.Environ{"PG_BINDIR=" + set, "PATH=" + path}, set},
		{"then PATH", machine.Environ{"PATH=/nonexistent:" + path}, path},
		{"then the places, newest first", machine.Environ{"PATH=/nonexistent"}, newer},
	} {
		found, _ := machine.Find(t.Context(), postgres(root), test.environ)
		if found.Dir() != test.want {
			t.Errorf("%s: found %v, want it in %s", test.name, found, test.want)
		}
	}
	if err := os.RemoveAll(newer); err != nil {
		t.Fatal(err)
	}
	if found, _ := machine.Find(t.Context(), postgres(root), nil); found.Dir() != older {
		t.Errorf("found %v, want it in %s", found, older)
	}
}

func TestFindListsWhatItTried(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := install(t, filepath.Join(root, "old"), "postgres", "postgres (PostgreSQL) 14.9")
	install(t, old, "initdb", "")
	alone := install(t, filepath.Join(root, "lib", "16", "bin"), "postgres", "postgres (PostgreSQL) 16.1")
	found, tried := machine.Find(t.Context(), postgres(root), machine.Environ{"PATH=" + old})
	want := []string{
		old + "/postgres: version 14.9 is too old",
		alone + "/postgres: no initdb beside it",
	}
	if diff := cmp.Diff(want, tried); found.Path != "" || diff != "" {
		t.Errorf("found %v, tried (-want +got):\n%s", found, diff)
	}
}

func TestASettingIsExclusive(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "lib", "17", "bin")
	install(t, dir, "initdb", "")
	install(t, dir, "postgres", "postgres (PostgreSQL) 17.1")
	found, tried := machine.Find(t.Context(), postgres(root), machine.Environ{"PG_BINDIR=/nowhere", "PATH=" + dir})
	want := []string{"no postgres in PG_BINDIR=/nowhere (nowhere else, because it is set)"}
	if diff := cmp.Diff(want, tried); found.Path != "" || diff != "" {
		t.Errorf("found %v, tried (-want +got):\n%s", found, diff)
	}
}

func TestEnsureListsWhatIsMissing(t *testing.T) {
	t.Parallel()
	environ := machine.Environ{"PATH=/nonexistent", "PG_BINDIR=/nowhere", "STACK_NO_INSTALL=1"}
	redis := machine.Redis
	redis.Places = []string{"/nonexistent"}
	_, err := machine.Ensure(t.Context(), nil, t.Output(), environ, machine.Postgres, redis)
	var missing machine.Missing
	if !errors.As(err, &missing) || len(missing) != 2 {
		t.Fatalf("Ensure: %v, want two missing parts", err)
	}
	for _, want := range []string{
		"missing: PostgreSQL 15 or newer", "no postgres in PG_BINDIR=/nowhere",
		"missing: Redis 7 or newer, or Valkey", "no redis-server or valkey-server in PATH, /nonexistent",
		"not installed, because STACK_NO_INSTALL is set",
		"apt-get install", "dnf install", "apk add", "pacman -S", "brew install",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestEnsureFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := install(t, t.TempDir(), "valkey-server", "Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
	found, err := machine.Ensure(t.Context(), nil, t.Output(), machine.Environ{"PATH=" + dir}, machine.Redis)
	want := []machine.Found{{Path: dir + "/valkey-server", Version: "8.1.3"}}
	if diff := cmp.Diff(want, found); err != nil || diff != "" {
		t.Errorf("error %v, found (-want +got):\n%s", err, diff)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)":                     "15.18 15",
		"postgres (PostgreSQL) 18beta1":                                            "18 18",
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64":       "7.0.15 7",
		"Valkey server v=9.0.0 sha=00000000:0 malloc=libc bits=64 build=abcdef123": "9.0.0 9",
		"no number": "unknown 0",
		"":          "unknown 0",
	} {
		version, major := machine.ParseVersion(text)
		if got := fmt.Sprint(version, " ", major); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("postgres (PostgreSQL) 15.18")
	f.Fuzz(func(t *testing.T, text string) {
		if version, major := machine.ParseVersion(text); major < 0 || version == "" {
			t.Errorf("%q: version %q, major %d", text, version, major)
		}
	})
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	e := machine.Environ{"A=1", "DB_PASSWORD_FILE=/x", "B=2", "DB_PASSWORD=old"}
	got := e.With(map[string]string{"DB_PASSWORD": "new"})
	if diff := cmp.Diff(machine.Environ{"A=1", "B=2", "DB_PASSWORD=new"}, got); diff != "" {
		t.Errorf("With (-want +got):\n%s", diff)
	}
	if e.Get("B") != "2" || e.Get("C") != "" {
		t.Error("Get is wrong")
	}
	file := filepath.Join(t.TempDir(), "build.env")
	if err := os.WriteFile(file, []byte("# A=7\nA=9\nC=-x -y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := e.WithDefaults(file); err != nil || got.Get("A") != "1" || got.Get("C") != "-x -y" {
		t.Errorf("WithDefaults: %v, %v", got, err)
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	var ports machine.Ports
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	given := []int{busy.Addr().(*net.TCPAddr).Port}
	for range 50 {
		port, err := ports.Take(given[0])
		if err != nil || slices.Contains(given, port) {
			t.Fatalf("Take: %d, %v; busy or given: %v", port, err, given)
		}
		given = append(given, port)
	}
	wanted, err := new(machine.Ports).Take(given[1])
	if err != nil || wanted != given[1] {
		t.Errorf("Take(%d): %d, %v", given[1], wanted, err)
	}
}
