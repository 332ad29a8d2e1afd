package local

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// build compiles the services with one command into bin/ of the checkout. With
// the same flags as everything else it shares their build cache, and without
// cgo it makes the same static binaries as the containers hold, whether or not
// there is a C compiler.
func (s *Stack) build(ctx context.Context) error {
	if len(s.Services) == 0 {
		return nil
	}
	began := time.Now()
	s.say("building %d services (about 2 minutes of CPU from an empty cache, a second when nothing changed)",
		len(s.Services))
	cmd := exec.Command("go", "build", "-o", filepath.Join(s.Root, "bin")+"/")
	for _, service := range s.Services {
		cmd.Args = append(cmd.Args, "./services/"+service.Name)
	}
	cmd.Dir, cmd.Env = s.Root, s.Environ.With(map[string]string{"CGO_ENABLED": "0"})
	if err := s.run(ctx, cmd); err != nil {
		return err
	}
	s.say("built in %s", stack.Short(time.Since(began)))
	return nil
}

// newInstances returns the parts that run a service, one for each replica. The
// first takes the service's own ports, the others free ones.
func (s *Stack) newInstances(service checkout.Service) ([]*part, error) {
	var all []*part
	replicas := max(1, s.Scale[service.Name])
	for i := 1; i <= replicas; i++ {
		wanted, wantedAdmin := service.Port, service.AdminPort
		if i > 1 || s.FreePorts {
			wanted, wantedAdmin = 0, 0
		}
		port, err := s.ports.Take(wanted)
		if err != nil {
			return nil, err
		}
		adminPort, err := s.ports.Take(wantedAdmin)
		if err != nil {
			return nil, err
		}
		if wanted > 0 && port != wanted {
			s.say("port %d is busy: %s takes %d", wanted, service.Name, port)
		}
		p := &part{
			name: service.Name, service: service.Name, port: port, adminPort: adminPort,
			url:        fmt.Sprintf("http://127.0.0.1:%d", port),
			stopSignal: syscall.SIGTERM,
			death:      syscall.SIGKILL,
		}
		if replicas > 1 {
			p.name = fmt.Sprintf("%s-%d", service.Name, i)
		}
		p.log = s.logPath(p.name)
		p.probe = func(ctx context.Context, _ int) error { return probeHTTP(ctx, p.url+"/readyz") }
		p.command = func() *exec.Cmd { return s.serviceCommand(service, p) }
		all = append(all, p)
	}
	return all, nil
}

// serviceCommand returns the command that runs a service: in the caller's environment,
// with the variables that the stack decides in the place of the caller's.
func (s *Stack) serviceCommand(service checkout.Service, p *part) *exec.Cmd {
	set := map[string]string{
		"SERVICE_NAME": service.Name, "APP_ENV": s.appEnv(),
		"PORT": strconv.Itoa(p.port), "ADMIN_PORT": strconv.Itoa(p.adminPort),
		"DB_HOST": "127.0.0.1", "DB_PORT": strconv.Itoa(s.postgres.port), "DB_USER": service.Role(),
		"DB_PASSWORD": s.password, "DB_SSLMODE": "disable",
		"REGISTRY": s.registry(), "ADVERTISE_URL": p.url,
	}
	maps.Copy(set, s.redisClient.variables(service.Name, cmp.Or(s.RedisVia, s.redis.address())))
	// The addresses of all services, whether or not it calls them: with its defaults it
	// would call those of another stack on this machine.
	for _, peer := range s.Services {
		var urls []string
		for _, p := range s.snapshot() {
			if p.service == peer.Name {
				urls = append(urls, p.url)
			}
		}
		set[peer.Variable()+"_URL"] = strings.Join(urls, ",")
	}
	for _, entry := range Keys(s.Environ, service.Name) {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value
	}
	cmd := exec.Command(filepath.Join(s.Root, "bin", service.Name))
	cmd.Dir, cmd.Env = s.dir.Path, s.Environ.With(set)
	return cmd
}

// Keys returns the variables by which the named service signs and verifies tokens: nothing if
// environ has them, else its key in the folder STACK_KEYS, or the demo's secret.
func Keys(environ machine.Environ, service string) []string {
	for _, name := range []string{"SERVICE_SECRET", "SERVICE_SECRETS", "SERVICE_KEY"} {
		if environ.Get(name) != "" || environ.Get(name+"_FILE") != "" {
			return nil
		}
	}
	dir := environ.Get("STACK_KEYS")
	if dir == "" {
		return []string{"SERVICE_SECRET=" + serviceauth.DemoSecret}
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute // services run in another folder
	}
	keys := []string{
		"SERVICE_KEY_FILE=" + filepath.Join(dir, service+".pem"),
		"SERVICE_PUBLIC_KEYS_FILE=" + filepath.Join(dir, "public-keys"),
	}
	if service == "user-service" && environ.Get("USER_TOKEN_KEY") == "" {
		keys = append(keys, "USER_TOKEN_KEY_FILE="+filepath.Join(dir, "access-tokens.key"))
	}
	return keys
}

func (s *Stack) appEnv() string { return cmp.Or(s.Environ.Get("APP_ENV"), "development") }

// registry is static as long as every service has one instance. Several find
// each other in Redis, as they do in production.
func (s *Stack) registry() string {
	kind := "static"
	for _, n := range s.Scale {
		if n > 1 {
			kind = "redis"
		}
	}
	return cmp.Or(s.Environ.Get("REGISTRY"), kind)
}

func probeHTTP(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
