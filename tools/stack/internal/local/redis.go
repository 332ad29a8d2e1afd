package local

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/machine"
)

// redisSettings are those that differ from Redis' defaults: every write goes to the
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
func (s *Stack) newRedis(bin machine.Found, owner *syscall.Credential) (*part, error) {
	port, err := s.ports.Take(0)
	if err != nil {
		return nil, err
	}
	// The settings hold the password: read from standard input at each start
	// they would be gone at the second, on the command line all could see them.
	home := filepath.Join(s.dir.Path, "redis")
	conf := filepath.Join(home, "redis.conf")
	settings := fmt.Sprintf(redisSettings, port, s.password, home)
	if err := errors.Join(mkdir(home, owner), writeFile(conf, settings, owner)); err != nil {
		return nil, err
	}
	title := "Redis "
	if strings.HasPrefix(filepath.Base(bin.Path), "valkey") {
		title = "Valkey "
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return &part{
		name: "redis", service: "redis", version: title + bin.Version, port: port, log: s.logPath("redis"),
		url: redisURL(s.password, address),
		command: func() *exec.Cmd {
			cmd := exec.Command(bin.Path, conf)
			cmd.Dir, cmd.SysProcAttr = home, &syscall.SysProcAttr{Credential: owner}
			return cmd
		},
		probe:      func(context.Context, int) error { return probeRedis(address, s.password) },
		stopSignal: syscall.SIGTERM,
		death:      syscall.SIGKILL,
	}, nil
}

// probeRedis sends a PING. A server that still loads its file replies -LOADING.
func probeRedis(address, password string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", password); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if text := lines.Text(); text == "+PONG" {
			return nil
		} else if strings.HasPrefix(text, "-") {
			return errors.New("redis: " + text)
		}
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

func redisURL(password, address string) string {
	return fmt.Sprintf("redis://:%s@%s/0", password, address)
}
