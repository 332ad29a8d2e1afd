package fleet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/go-troika/troika/lab/bench/service/process"
	"github.com/go-troika/troika/pkg/database"
)

// newSide names an environment that no other run has.
func newSide(kind string) *side {
	return &side{
		env:   kind + strings.ToLower(rand.Text()[:8]),
		ports: map[string]int{}, admin: map[string]int{}, running: map[string]*process.Process{},
	}
}

func newSecret() string { return rand.Text() + rand.Text() }

func databaseName(service, env string) string { return database.Name(service, env) }

func (s *side) addr(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[name]))
}

func (s *side) stop(name string) error {
	s.mu.Lock()
	p := s.running[name]
	delete(s.running, name)
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Stop()
}

// stopAll stops all at once: each service goes on for a while before it ends.
func (s *side) stopAll() error {
	errs := make([]error, len(services))
	var stopping sync.WaitGroup
	for i, service := range services {
		stopping.Go(func() { errs[i] = s.stop(service.name) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// environ is what a service has to be told; all else is as it comes.
func (f *Fleet) environ(s *side, service service) []string {
	db := f.servers.Lab.Config(0)
	environ := []string{
		"APP_ENV=" + s.env, "PORT=" + strconv.Itoa(s.ports[service.name]), "ADMIN_PORT=" + strconv.Itoa(s.admin[service.name]),
		"DB_HOST=" + db.Host, "DB_PORT=" + strconv.Itoa(db.Port), "DB_SSLMODE=" + db.SSLMode,
		"DB_USER=" + db.User, "DB_PASSWORD=" + db.Password.Reveal(),
		"REDIS_URL=" + f.servers.RedisURL, "SERVICE_SECRET=" + f.secret,
	}
	for _, peer := range services {
		environ = append(environ, fmt.Sprintf("%s=http://%s", peer.variable, s.addr(peer.name)))
	}
	return environ
}

// freePort finds a port that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
