package faults_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/testkit"
)

// server is a Postgres of the lab's own.
type server struct {
	t          *testing.T
	host, data string
	port       int
	cmd        *exec.Cmd
	ended      chan struct{} // closed when cmd has
}

// newServer initialises a server and starts it.
func newServer(t *testing.T, host string, port int) *server {
	t.Helper()
	s := &server{t: t, host: host, port: port, data: dataDir(t)}
	s.program("initdb", "-D", s.data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
		"--no-sync", "--no-instructions")
	s.start()
	return s
}

// dataDir makes a folder for the user that servers run as.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if as := unprivileged(t); as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "data")
}

// unprivileged is the user that Postgres runs as where the test runs as root, which
// it refuses; nil otherwise.
func unprivileged(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command is a program of Postgres; found in PATH or where Debian has it.
func (s *server) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		if len(found) == 0 {
			s.t.Fatalf("%v: make test installs what is missing", err)
		}
		path = found[len(found)-1]
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = filepath.Dir(s.data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(s.t)}
	return cmd
}

func (s *server) program(name string, args ...string) {
	s.t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// start starts the server and waits until it accepts queries. After a crash it does not start
// before the last child of the one before has gone.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	testkit.Eventually(s.t, patience, func() string {
		select {
		case <-s.ended:
			s.launch()
		default:
		}
		if err := s.try("SELECT 1"); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (s *server) launch() {
	s.t.Helper()
	ended := make(chan struct{})
	cmd := s.command("postgres", "-D", s.data, "-c", "listen_addresses="+s.host, "-c", "port="+strconv.Itoa(s.port),
		"-c", "unix_socket_directories=", "-c", "dynamic_shared_memory_type=mmap", "-c", "max_connections=100",
		"-c", "wal_keep_size=256MB")
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	s.cmd, s.ended = cmd, ended
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		<-ended
	})
}

// crash kills the server with -9; its children follow.
func (s *server) crash() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
}

// exec runs statements one by one, each until the server takes it.
func (s *server) exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		testkit.Eventually(s.t, patience, func() string {
			if err := s.try(statement); err != nil {
				return fmt.Sprintf("%s: %v", statement, err)
			}
			return ""
		})
	}
}

func (s *server) try(statement string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@%s:%d/postgres?sslmode=disable", s.host, s.port))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// standby makes a server that follows s, on another host and the same port.
func (s *server) standby(host string) *server {
	s.t.Helper()
	other := &server{t: s.t, host: host, port: s.port, data: dataDir(s.t)}
	other.program("pg_basebackup", "-h", s.host, "-p", strconv.Itoa(s.port), "-U", "postgres", "-D", other.data,
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	other.start()
	return other
}

// backup copies a database; those who use it are sent away for as long.
func (s *server) backup(name string) {
	s.t.Helper()
	s.copy(name, name+"_backup")
}

// restore puts the backup in the database's place.
func (s *server) restore(name string) {
	s.t.Helper()
	s.copy(name+"_backup", name)
	s.exec("DROP DATABASE " + name + "_backup")
}

func (s *server) copy(from, to string) {
	s.t.Helper()
	s.exec("DROP DATABASE IF EXISTS "+to+" WITH (FORCE)", "ALTER DATABASE "+from+" ALLOW_CONNECTIONS false")
	s.exec(fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", from))
	s.exec(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", to, from))
	s.exec("ALTER DATABASE " + from + " ALLOW_CONNECTIONS true")
}

// freePort returns a port that is free on every loopback address.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
