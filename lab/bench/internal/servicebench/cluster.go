package servicebench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

const module = "github.com/go-troika/troika/"

// names are the services, in the order in which they start.
var names = []string{contracts.UserService, contracts.OrderService, contracts.ProfileService}

// side is the services of one side, by name.
type side map[string]*Service

// Cluster is what is compared: the three services as in production, and the baseline,
// one process for each service that it stands in for, all over one Postgres.
type Cluster struct {
	ours, baseline side

	servers *servers.Servers
	dir     string // of binaries and logs
	secret  string // of service tokens
	env     string // of ours
}

// Open builds everything and creates the databases with the newest schema. It starts
// nothing. dir takes binaries and logs.
func Open(ctx context.Context, s *servers.Servers, dir string) (*Cluster, error) {
	c := &Cluster{servers: s, dir: dir, secret: rand.Text() + rand.Text(), env: newEnv("bench")}
	if err := build(ctx, dir); err != nil {
		return nil, err
	}
	var errOurs, errBaseline error
	c.ours, errOurs = c.prepare(ctx, c.env, names)
	c.baseline, errBaseline = c.prepare(ctx, newEnv("baseline"), names[:2])
	for name, service := range c.baseline {
		url := s.URL(service.database())
		service.Path, service.Environ = filepath.Join(dir, "baseline"), []string{"BASELINE_DATABASE=" + url}
		service.Args = []string{"-addr", service.Addr, "-users", "http://" + c.baseline[contracts.UserService].Addr}
		service.Log = filepath.Join(dir, "baseline-"+name+".log")
	}
	return c, errors.Join(errOurs, errBaseline)
}

// newEnv returns the name of an environment that no other run has.
func newEnv(kind string) string { return kind + strings.ToLower(rand.Text()[:8]) }

// build compiles the services and the baseline into dir, with the GOFLAGS of make.
func build(ctx context.Context, dir string) error {
	args := []string{"build", "-o", dir + string(filepath.Separator), "-ldflags=-s -w",
		module + "lab/bench/cmd/services/baseline"}
	for _, name := range names {
		args = append(args, module+"services/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, out)
	}
	return nil
}

// prepare creates the databases of one side, in a separate environment.
func (c *Cluster) prepare(ctx context.Context, env string, names []string) (side, error) {
	s := side{}
	for _, name := range names {
		addr, errAddr := freeAddr()
		admin, errAdmin := freeAddr()
		if err := errors.Join(errAddr, errAdmin); err != nil {
			return nil, err
		}
		s[name] = &Service{
			Name: name, Addr: addr, Admin: admin, env: env,
			Path: filepath.Join(c.dir, name), Log: filepath.Join(c.dir, name+".log"),
		}
	}
	for name, service := range s {
		service.Environ = c.environ(s, service)
		if err := c.servers.CreateDatabase(ctx, service.database()); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, service.Path, "migrate")
		cmd.Env = service.Environ
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("migrate %s: %w\n%s", name, err, out)
		}
	}
	return s, nil
}

func (s *Service) database() string { return database.Name(s.Name, s.env) }

// environ returns the variables that a service needs; all others have their defaults.
func (c *Cluster) environ(s side, service *Service) []string {
	_, port, _ := net.SplitHostPort(service.Addr)
	_, admin, _ := net.SplitHostPort(service.Admin)
	db := c.servers.Config(0)
	environ := []string{
		"APP_ENV=" + service.env, "PORT=" + port, "ADMIN_PORT=" + admin,
		"DB_HOST=" + db.Host, fmt.Sprintf("DB_PORT=%d", db.Port), "DB_SSLMODE=" + db.SSLMode,
		"DB_USER=" + db.User, "DB_PASSWORD=" + db.Password.Reveal(),
		"REDIS_URL=" + c.servers.RedisURL, "SERVICE_SECRET=" + c.secret,
		"USER_TOKEN_KEY=" + string(serviceauth.NewPrivateKey()), // of user-service
	}
	for name, peer := range s {
		environ = append(environ, strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_URL=http://"+peer.Addr)
	}
	return environ
}

// start starts the services and returns when they are ready.
func (s side) start(ctx context.Context) error {
	for _, name := range names {
		if service := s[name]; service != nil {
			if err := service.Start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop stops all services at the same time: each drains for a while before it ends.
func (s side) stop() error {
	var stopping errgroup.Group
	for _, service := range s {
		stopping.Go(service.Stop)
	}
	return stopping.Wait()
}

// Close stops everything and removes what the services left in Redis.
func (c *Cluster) Close() error {
	return errors.Join(c.ours.stop(), c.baseline.stop(), c.servers.RemoveKeys(c.env+":*"))
}

// token returns a service token of a person for one of our services.
func (c *Cluster) token(audience string) (string, error) {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(c.secret)}, contracts.Gateway, c.env)
	if err != nil {
		return "", err
	}
	return serviceauth.NewSigner(keys, contracts.Gateway).Token(audience)
}

// freeAddr returns an address on which no process listens just now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
