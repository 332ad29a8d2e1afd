package durability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/world"
)

// emptyRedis takes the data of a Redis that is not running away.
func (s *stack) emptyRedis() error {
	stored := filepath.Join(s.Dir, "redis", "appendonlydir")
	if _, err := os.Stat(stored); err != nil {
		return err
	}
	return os.RemoveAll(stored)
}

// flush sends FLUSHALL to the stack's Redis.
func (s *stack) flush(ctx context.Context) error {
	at := slices.IndexFunc(s.Parts, func(p driver.Part) bool { return p.Service == world.Redis })
	address, err := url.Parse(s.Parts[at].URL)
	if err != nil {
		return errors.New("the address of Redis is no URL")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	password, _ := address.User.Password()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nFLUSHALL\r\n", password); err != nil {
		return err
	}
	var answer []byte
	for chunk := make([]byte, 64); bytes.Count(answer, []byte("\r\n")) < 2; {
		n, err := conn.Read(chunk)
		if err != nil {
			return err
		}
		answer = append(answer, chunk[:n]...)
	}
	if string(answer) != "+OK\r\n+OK\r\n" {
		return fmt.Errorf("FLUSHALL: %q", answer)
	}
	return nil
}

// sessions lists the processes of Postgres that serve a service's connections.
// It names them as ps does, which needs no client of Postgres.
func (s *stack) sessions(ctx context.Context, service string) ([]int, error) {
	now := *s.Stack // others read the parts meanwhile
	if err := now.Refresh(ctx); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(now.Parts, func(p driver.Part) bool { return p.Service == "postgres" })
	list, err := exec.CommandContext(ctx, "ps", "-A", "-ww", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	role := strings.ReplaceAll(service, "-", "_")
	var found []int
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[1] != strconv.Itoa(now.Parts[at].PID) || fields[2] != "postgres:" || fields[3] != role {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, err
		}
		found = append(found, pid)
	}
	return found, nil
}

// endSession does what pg_terminate_backend does.
func (s *stack) endSession(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
