package local

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/process"
)

// stopGrace is how long a service may take to stop before it is killed.
const stopGrace = 25 * time.Second

// build compiles the services with one command into bin/ of the checkout. With
// the same flags as everything else it shares their build cache, and without
// cgo it makes the same static binaries as the containers hold, whether or not
// there is a C compiler.
func (s *Stack) build(ctx context.Context) error {
	args := []string{"build", "-o", filepath.Join(s.Root, "bin") + "/"}
	for _, service := range s.Services {
		args = append(args, "./services/"+service.Name)
	}
	var log strings.Builder
	env := s.Environ.With(map[string]string{"CGO_ENABLED": "0"})
	if err := s.supervisor.Run(ctx, process.Spec{Path: "go", Args: args, Dir: s.Root, Env: env, Out: &log}); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, log.String())
	}
	return nil
}

// newInstances returns the parts that run a service, one for each replica. The
// first takes the service's own ports, the others free ones.
func (s *Stack) newInstances(service checkout.Service) ([]*part, error) {
	var all []*part
	replicas := max(1, s.Scale[service.Name])
	for i := 1; i <= replicas; i++ {
		wanted, admin := service.Port, service.AdminPort
		if i > 1 || s.FreePorts {
			wanted, admin = 0, 0
		}
		port, err := s.ports.Take(wanted)
		if err != nil {
			return nil, err
		}
		adminPort, err := s.ports.Take(admin)
		if err != nil {
			return nil, err
		}
		if wanted > 0 && port != wanted {
			s.say("port %d is busy: %s takes %d", wanted, service.Name, port)
		}
		name := service.Name
		if replicas > 1 {
			name = fmt.Sprintf("%s-%d", service.Name, i)
		}
		all = append(all, s.newInstance(service, name, port, adminPort))
	}
	return all, nil
}

func (s *Stack) newInstance(service checkout.Service, name string, port, adminPort int) *part {
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	return &part{
		name: name, service: service.Name, port: port, adminPort: adminPort, url: url,
		log:        s.logPath(name),
		probe:      func(ctx context.Context) error { return probeHTTP(ctx, url+"/readyz") },
		spec:       process.Spec{Path: filepath.Join(s.Root, "bin", service.Name), Dir: s.dir.Path},
		stopSignal: syscall.SIGTERM,
	}
}

// environ is what a service runs with: the caller's environment, without what
// the stack decides, and then that.
func (s *Stack) environ(service checkout.Service, p *part) []string {
	set := map[string]string{
		"SERVICE_NAME": service.Name, "APP_ENV": s.appEnv(), "PORT": strconv.Itoa(p.port), "ADMIN_PORT": strconv.Itoa(p.adminPort),
		"DB_HOST": "127.0.0.1", "DB_PORT": strconv.Itoa(s.postgres.port), "DB_USER": service.Role(),
		"DB_PASSWORD": s.password, "DB_SSLMODE": "disable", "REDIS_URL": s.redisURL(),
		"REGISTRY": s.registry(), "ADVERTISE_URL": p.url,
	}
	// All of them, whom it calls or not: with its default addresses it would reach
	// into another stack on this machine.
	for _, peer := range s.Services {
		set[peer.Variable()+"_URL"] = strings.Join(s.urls(peer.Name), ",")
	}
	for name, value := range s.Variables {
		set[name] = value
	}
	if !HasSecret(s.Environ) {
		set["SERVICE_SECRET"] = serviceauth.DemoSecret
	}
	return s.Environ.With(set)
}

// HasSecret reports whether environ holds a service secret in any of its forms.
func HasSecret(environ []string) bool {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		name = strings.TrimSuffix(name, "_FILE")
		if (name == "SERVICE_SECRET" || name == "SERVICE_SECRETS") && value != "" {
			return true
		}
	}
	return false
}

// redisURL is where the services find Redis.
func (s *Stack) redisURL() string {
	if s.RedisVia == "" {
		return s.redis.url
	}
	return redisURL(s.password, s.RedisVia)
}

// registry is static as long as every service has one instance. Several find
// each other in Redis, as they do in production.
func (s *Stack) registry() string {
	if kind := s.Environ.Get("REGISTRY"); kind != "" {
		return kind
	}
	for _, n := range s.Scale {
		if n > 1 {
			return "redis"
		}
	}
	return "static"
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
		return fmt.Errorf("GET %s answers %s", url, resp.Status)
	}
	return nil
}
