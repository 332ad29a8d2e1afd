package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-troika/troika/tools/stack/internal/machine"
)

// postgresSettings are those that differ from Postgres' defaults. fsync stays on.
// Memory is taken from files in the data folder, so that not even a SIGKILL
// leaves a segment behind.
const postgresSettings = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 300
dynamic_shared_memory_type = 'mmap'
`

// newPostgres initialises a cluster, with a role and a database for each service, and
// returns the part that serves it.
func (s *Stack) newPostgres(ctx context.Context, bin machine.Found, owner *syscall.Credential) (*part, error) {
	home := filepath.Join(s.dir.Path, "postgres")
	data := filepath.Join(home, "data")
	port, err := s.ports.Take(0)
	if err != nil {
		return nil, err
	}
	command := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin.Dir(), program), args...)
		cmd.Dir = home
		cmd.Env = []string{"PATH=" + s.Environ.Get("PATH"), "HOME=" + home, "TZ=UTC", "LC_ALL=" + utf8Locale()}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		return cmd
	}
	password := filepath.Join(home, "password")
	if err := errors.Join(mkdir(home, owner), writeFile(password, s.password+"\n", owner)); err != nil {
		return nil, err
	}
	initdb := command("initdb", "-D", data, "--username=postgres", "--pwfile="+password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale="+utf8Locale(), "--no-sync", "--no-instructions")
	if err := s.run(ctx, initdb); err != nil {
		return nil, err
	}
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err = fmt.Fprintf(conf, postgresSettings, port); errors.Join(err, conf.Close()) != nil {
		return nil, err
	}
	// Single-user mode needs no client program and no listening server.
	single := command("postgres", "--single", "-D", data, "postgres")
	single.Stdin = s.createDatabases()
	if err := s.run(ctx, single); err != nil {
		return nil, err
	}
	return &part{
		name: "postgres", service: "postgres", version: "PostgreSQL " + bin.Version, port: port,
		log:        s.logPath("postgres"),
		url:        fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", s.password, port),
		command:    func() *exec.Cmd { return command("postgres", "-D", data) },
		probe:      func(_ context.Context, pid int) error { return probePostgres(data, pid) },
		stopSignal: syscall.SIGINT,  // "fast": does not wait for clients
		death:      syscall.SIGQUIT, // "immediate", but it ends its children and frees its memory
		restarts:   20,              // after a SIGKILL the old children need a moment to go
	}, nil
}

// createDatabases returns the SQL that gives each service a role and a database that no
// other may connect to, one statement a line.
func (s *Stack) createDatabases() io.Reader {
	var sql strings.Builder
	for _, service := range s.Services {
		role, db := service.Role(), service.Role()+"_"+s.appEnv()
		fmt.Fprintf(&sql, "CREATE ROLE %s LOGIN PASSWORD '%s';\n", role, s.password)
		fmt.Fprintf(&sql, "CREATE DATABASE %s OWNER %s;\n", db, role)
		fmt.Fprintf(&sql, "REVOKE ALL ON DATABASE %s FROM PUBLIC;\n", db)
	}
	return strings.NewReader(sql.String())
}

// probePostgres reads, as pg_ctl does, the file where a server writes its pid in the
// first line and its state in the last.
func probePostgres(data string, pid int) error {
	text, _ := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	lines := strings.Fields(string(text))
	if len(lines) == 0 || lines[0] != strconv.Itoa(pid) || lines[len(lines)-1] != "ready" {
		return errors.New("the database system is starting up")
	}
	return nil
}

func utf8Locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}
