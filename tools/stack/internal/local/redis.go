package local

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/secrets"
)

// redisSettings are those that differ from Redis' defaults: every write goes to the
// append-only file, nothing is evicted, and there are databases enough for
// tests to have one each.
const redisSettings = `bind 127.0.0.1
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
	home := filepath.Join(s.dir.Path, "redis")
	title := "Redis "
	if strings.HasPrefix(filepath.Base(bin.Path), "valkey") {
		title = "Valkey "
	}
	p := &part{
		name: "redis", service: "redis", version: title + bin.Version, port: port, log: s.logPath("redis"),
		stopSignal: syscall.SIGTERM,
		death:      syscall.SIGKILL,
	}
	// The settings hold the password: read from standard input at each start
	// they would be gone at the second, on the command line all could see them.
	files := map[string]string{"redis.conf": fmt.Sprintf(redisSettings, home) + fmt.Sprintf("port %d\nrequirepass %s\n", port, s.password)}
	args := []string{bin.Path, filepath.Join(home, "redis.conf")}
	client := redisClient{scheme: "redis", password: s.password}
	if s.Secure {
		if files, client, err = s.secureRedis(home, port); err != nil {
			return nil, err
		}
		args = []string{"/bin/sh", filepath.Join(home, "start.sh"), filepath.Join(home, "redis.conf")}
	}
	err = mkdir(home, owner)
	for name, text := range files {
		err = errors.Join(err, writeFile(filepath.Join(home, name), text, owner))
	}
	if err != nil {
		return nil, err
	}
	s.redisClient = client
	p.url = client.url(p.address())
	p.command = func() *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.SysProcAttr = home, &syscall.SysProcAttr{Credential: owner}
		if s.Secure {
			cmd.Env = append(os.Environ(), "APP_ENV="+s.appEnv(), "SECRETS="+home, "TMPDIR="+home, "REDIS_SERVER="+bin.Path)
		}
		return cmd
	}
	p.probe = func(context.Context, int) error { return client.probe(p.address()) }
	return p, nil
}

// secureRedis returns the files of a Redis with TLS and users, and how its operator connects.
func (s *Stack) secureRedis(home string, port int) (map[string]string, redisClient, error) {
	files, err := secrets.Redis(s.Root, "127.0.0.1")
	if err != nil {
		return nil, redisClient{}, err
	}
	for _, name := range []string{"start.sh", "users.acl"} {
		text, err := os.ReadFile(filepath.Join(s.Root, "deploy", "redis", name))
		if err != nil {
			return nil, redisClient{}, err
		}
		files[name] = string(text)
	}
	files["redis.conf"] = fmt.Sprintf(redisSettings, home) + fmt.Sprintf("port 0\ntls-port %d\n", port)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(files[secrets.Certificate]))
	return files, redisClient{
		scheme: "rediss", user: secrets.Operator, password: files[secrets.Password(secrets.Operator)],
		tls: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, home: home,
	}, nil
}

// redisClient is how Redis is reached: by all with one password, or with TLS by its operator.
type redisClient struct {
	scheme, user, password string

	tls  *tls.Config
	home string // of its secrets
}

func (c redisClient) url(address string) string {
	return fmt.Sprintf("%s://%s:%s@%s/0", c.scheme, c.user, c.password, address)
}

// variables returns those that a service connects with.
func (c redisClient) variables(service, address string) map[string]string {
	set := map[string]string{"REDIS_URL": c.url(address), "REDIS_PASSWORD": "", "REDIS_CA": ""}
	if c.tls != nil {
		set["REDIS_URL"] = fmt.Sprintf("%s://%s@%s/0", c.scheme, service, address)
		set["REDIS_PASSWORD_FILE"] = filepath.Join(c.home, secrets.Password(service))
		set["REDIS_CA_FILE"] = filepath.Join(c.home, secrets.Certificate)
	}
	return set
}

// probe sends a PING. A server that still loads its file replies -LOADING.
func (c redisClient) probe(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	auth := "AUTH " + c.password
	if c.tls != nil {
		conn, auth = tls.Client(conn, c.tls), fmt.Sprintf("AUTH %s %s", c.user, c.password)
	}
	if _, err := fmt.Fprintf(conn, "%s\r\nPING\r\n", auth); err != nil {
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
