package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
)

// postgresSettings are what differs from Postgres' defaults. fsync stays on.
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

// newPostgres initialises a cluster of its own, with a role and a database for
// each service, and answers the part that serves it.
func (s *Stack) newPostgres(ctx context.Context, bin machine.Found, user *syscall.Credential) (*part, error) {
	home := filepath.Join(s.dir.Path, "postgres")
	data := filepath.Join(home, "data")
	if err := mkdirFor(home, user); err != nil {
		return nil, err
	}
	port, err := s.ports.Take(0)
	if err != nil {
		return nil, err
	}
	p := &part{
		name: "postgres", service: "postgres", version: "PostgreSQL " + bin.Version, port: port, log: s.logPath("postgres"),
		url:   fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", s.password, port),
		probe: func(ctx context.Context) error { return probePostgres(ctx, port) },
		spec: process.Spec{
			Path: bin.Path, Args: []string{"-D", data}, Dir: home, User: user,
			Env: []string{"PATH=" + s.Environ.Get("PATH"), "HOME=" + home, "TZ=UTC", "LC_ALL=" + utf8Locale()},
			// At once, but taking the children and the shared memory along.
			Death: syscall.SIGQUIT,
		},
		stopSignal: syscall.SIGINT, // "fast": does not wait for clients
		restarts:   20,             // after a SIGKILL the old children need a moment to go
	}
	return p, s.initPostgres(ctx, p, bin.Dir(), home, data)
}

func (s *Stack) initPostgres(ctx context.Context, p *part, bin, home, data string) error {
	pw := filepath.Join(home, "password")
	if err := os.WriteFile(pw, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if user := p.spec.User; user != nil {
		if err := os.Chown(pw, int(user.Uid), int(user.Gid)); err != nil {
			return err
		}
	}
	initdb := []string{
		"-D", data, "--username=postgres", "--pwfile=" + pw, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=" + utf8Locale(), "--no-sync", "--no-instructions",
	}
	if err := s.runAs(ctx, p.spec, filepath.Join(bin, "initdb"), nil, initdb...); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(conf, postgresSettings, p.port); errors.Join(err, conf.Close()) != nil {
		return err
	}
	// Single-user mode needs no client program and no listening server.
	return s.runAs(ctx, p.spec, p.spec.Path, s.databases(), "--single", "-D", data, "postgres")
}

// databases is the SQL that gives each service a role and a database that no
// other may connect to, one statement a line.
func (s *Stack) databases() io.Reader {
	var sql bytes.Buffer
	for _, service := range s.Services {
		role, db := service.Role(), s.database(service)
		fmt.Fprintf(&sql, "CREATE ROLE %s LOGIN PASSWORD '%s';\n", role, s.password)
		fmt.Fprintf(&sql, "CREATE DATABASE %s OWNER %s;\n", db, role)
		fmt.Fprintf(&sql, "REVOKE ALL ON DATABASE %s FROM PUBLIC;\n", db)
	}
	return &sql
}

// runAs runs a program of a server's kind to its end.
func (s *Stack) runAs(ctx context.Context, as process.Spec, path string, in io.Reader, args ...string) error {
	var log bytes.Buffer
	as.Path, as.Args, as.In, as.Out = path, args, in, &log
	if err := s.supervisor.Run(ctx, as); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, strings.TrimSpace(log.String()))
	}
	return nil
}

// probePostgres opens a connection as far as the server's first answer, as
// pg_isready does: a request to authenticate, or an error other than
// cannot_connect_now (57P03), says that it serves.
func probePostgres(ctx context.Context, port int) error {
	conn, err := dial(ctx, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	body := []byte("\x00\x03\x00\x00user\x00postgres\x00\x00") // protocol 3.0
	message := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if answer[0] == 'E' && bytes.Contains(answer[:n], []byte("C57P03\x00")) {
		return errors.New("the database system is starting up")
	}
	return nil
}

func dial(ctx context.Context, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(time.Second))
}

func utf8Locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}
