package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/service/process"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// service is one of those that are run.
type service struct{ name, variable string }

var services = []service{
	{contracts.UserService, "USER_SERVICE_URL"},
	{contracts.OrderService, "ORDER_SERVICE_URL"},
	{contracts.ProfileService, "PROFILE_SERVICE_URL"},
}

// Names are the services, in the order in which they start.
func Names() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// Fleet is what was built, the databases, and what runs. Its services may be
// started and stopped side by side.
type Fleet struct {
	servers Servers
	dir     string // of binaries and logs
	secret  string // of service tokens
	ours    *side
	floor   *side
}

// side is one of the two that are compared.
type side struct {
	env   string // APP_ENV, which names the databases
	ports map[string]int
	admin map[string]int // ports of the admin servers

	mu      sync.Mutex
	running map[string]*process.Process
}

// Servers is where the databases are.
type Servers struct {
	Lab      *lab.Lab
	RedisURL string // of a database that is empty
}

// Open builds everything, makes the databases, which the lab drops when it is
// closed, and brings them to their newest version. dir takes binaries and logs.
func Open(ctx context.Context, s Servers, dir string) (*Fleet, error) {
	f := &Fleet{servers: s, dir: dir, secret: newSecret(), ours: newSide("bench"), floor: newSide("floor")}
	if err := Build(ctx, dir); err != nil {
		return nil, err
	}
	for _, side := range []*side{f.ours, f.floor} {
		for _, service := range services {
			if err := f.prepare(ctx, side, service); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// prepare makes a service's database for one side. The floor's tables are the
// service's own.
func (f *Fleet) prepare(ctx context.Context, s *side, service service) error {
	var errPort, errAdmin error
	s.ports[service.name], errPort = freePort()
	s.admin[service.name], errAdmin = freePort()
	if err := errors.Join(errPort, errAdmin); err != nil {
		return err
	}
	if err := f.servers.Lab.MakeDatabase(ctx, databaseName(service.name, s.env)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(f.dir, service.name), "migrate")
	cmd.Env = f.environ(s, service)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate %s: %w\n%s", service.name, err, out)
	}
	return nil
}

// StartService starts one of our services and waits until it is ready.
func (f *Fleet) StartService(ctx context.Context, name string) (*process.Process, error) {
	for _, service := range services {
		if service.name == name {
			return f.start(ctx, f.ours, service, process.Spec{
				Path: filepath.Join(f.dir, name), Environ: f.environ(f.ours, service),
			})
		}
	}
	return nil, fmt.Errorf("there is no service %q", name)
}

// StartFloor starts the floor's stand-in for one of the services.
func (f *Fleet) StartFloor(ctx context.Context, name string) (*process.Process, error) {
	database := f.servers.Lab.URL(databaseName(name, f.floor.env))
	return f.start(ctx, f.floor, service{name: name}, process.Spec{
		Path:    filepath.Join(f.dir, "floor"),
		Args:    []string{"-addr", f.FloorAddr(name), "-users", "http://" + f.FloorAddr(contracts.UserService)},
		Environ: []string{"FLOOR_DATABASE=" + database},
	})
}

func (f *Fleet) start(ctx context.Context, s *side, service service, spec process.Spec) (*process.Process, error) {
	spec.Name = service.name
	spec.URL = "http://" + s.addr(service.name)
	spec.Log = filepath.Join(f.dir, s.env+"-"+service.name+".log")
	p, err := process.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[service.name] = p
	return p, nil
}

// Addr is where one of our services listens.
func (f *Fleet) Addr(name string) string { return f.ours.addr(name) }

// Admin is where one of our services shows its profiles.
func (f *Fleet) Admin(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(f.ours.admin[name]))
}

// FloorAddr is where the floor's stand-in for a service listens.
func (f *Fleet) FloorAddr(name string) string { return f.floor.addr(name) }

// Token returns a person's service token for one of our services.
func (f *Fleet) Token(audience string) (string, error) {
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(f.secret)}, f.ours.env)
	if err != nil {
		return "", err
	}
	return serviceauth.NewSigner(keys, contracts.Gateway).Token(audience)
}

// StopServices stops our services.
func (f *Fleet) StopServices() error { return f.ours.stopAll() }

// Close stops all that runs.
func (f *Fleet) Close() error {
	var errs []error
	for _, s := range []*side{f.ours, f.floor} {
		errs = append(errs, s.stopAll())
	}
	return errors.Join(errs...)
}

// Logs tells what the processes complained of, for one who looks for a reason.
func (f *Fleet) Logs() (string, error) {
	paths, err := filepath.Glob(filepath.Join(f.dir, "*.log"))
	if err != nil {
		return "", err
	}
	var all string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		all += string(text)
	}
	return all, nil
}
