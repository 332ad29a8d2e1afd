package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
)

// redisSettings are what differs from Redis' defaults: every write goes to the
// append-only file, nothing is evicted, and there are databases enough for
// tests to have one each.
const redisSettings = `bind 127.0.0.1
port %d
requirepass %s
databases 512
appendonly yes
save ""
maxmemory-policy noeviction
dir %s
`

// newRedis returns the part that serves a private Redis or Valkey.
func (s *Stack) newRedis(bin machine.Found, user *syscall.Credential) (*part, error) {
	home := filepath.Join(s.dir.Path, "redis")
	if err := mkdirFor(home, user); err != nil {
		return nil, err
	}
	port, err := s.ports.Take(0)
	if err != nil {
		return nil, err
	}
	// The settings hold the password: read from standard input at each start
	// they would be gone at the second, on the command line all could see them.
	conf := filepath.Join(home, "redis.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, redisSettings, port, s.password, home), 0o600); err != nil {
		return nil, err
	}
	if user != nil {
		if err := os.Chown(conf, int(user.Uid), int(user.Gid)); err != nil {
			return nil, err
		}
	}
	title := "Redis "
	if strings.HasPrefix(filepath.Base(bin.Path), "valkey") {
		title = "Valkey "
	}
	return &part{
		name: "redis", service: "redis", version: title + bin.Version, port: port, log: s.logPath("redis"),
		url:        redisURL(s.password, fmt.Sprintf("127.0.0.1:%d", port)),
		spec:       process.Spec{Path: bin.Path, Args: []string{conf}, Dir: home, User: user},
		stopSignal: syscall.SIGTERM,
		probe:      func(ctx context.Context) error { return probeRedis(ctx, port, s.password) },
	}, nil
}

// probeRedis asks for a PONG; a server that still loads its file answers
// -LOADING.
func probeRedis(ctx context.Context, port int, password string) error {
	conn, err := dial(ctx, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", password); err != nil {
		return err
	}
	var answer []byte
	for chunk := make([]byte, 256); strings.Count(string(answer), "\r\n") < 2; {
		n, err := conn.Read(chunk)
		if err != nil {
			return err
		}
		answer = append(answer, chunk[:n]...)
	}
	if !strings.Contains(string(answer), "+PONG") {
		return fmt.Errorf("redis answered %q", answer)
	}
	return nil
}

func redisURL(password, address string) string {
	return fmt.Sprintf("redis://:%s@%s/0", password, address)
}
