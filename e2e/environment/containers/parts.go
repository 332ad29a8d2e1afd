package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/go-troika/troika/e2e/environment"
)

type service struct {
	name, port, admin string
	replicas          int
}

// role is the service's name as Postgres knows it.
func (s service) role() string { return strings.ReplaceAll(s.name, "-", "_") }

func (s service) image() string { return "troika/" + s.name + ":dev" }

var services = []service{
	{environment.User, "8081", "9081", environment.Replicas},
	{environment.Order, "8082", "9082", 1},
	{environment.Profile, "8083", "9083", 1},
}

const (
	password = "troika-demo"
	startup  = time.Minute // for one container; a busy machine takes seconds
)

// build makes the services' images as their Dockerfiles say. It calls the docker
// command, because cache mounts need BuildKit, which the engine's own API for
// builds does not offer.
func build(ctx context.Context, root string) error {
	for _, s := range services {
		fmt.Fprintf(os.Stderr, "e2e: building %s\n", s.image())
		cmd := exec.CommandContext(ctx, "docker", "build", "--quiet",
			"--file", "services/"+s.name+"/Dockerfile", "--tag", s.image(), ".")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("docker build of %s: %w\n%s", s.name, err, out)
		}
	}
	return nil
}

func (c *containers) redis(ctx context.Context) (*testcontainers.DockerContainer, error) {
	return testcontainers.Run(ctx, "redis:8",
		network.WithNetwork([]string{environment.Redis}, c.network),
		testcontainers.WithCmd("redis-server", "--appendonly", "yes"),
		testcontainers.WithWaitStrategyAndDeadline(startup, wait.ForExec([]string{"redis-cli", "ping"})))
}

func (c *containers) database(s service) func(context.Context) (*testcontainers.DockerContainer, error) {
	return func(ctx context.Context) (*testcontainers.DockerContainer, error) {
		return testcontainers.Run(ctx, "postgres:17",
			network.WithNetwork([]string{s.name + "-db"}, c.network),
			testcontainers.WithEnv(map[string]string{
				"POSTGRES_USER": s.role(), "POSTGRES_PASSWORD": password, "POSTGRES_DB": s.role() + "_test",
			}),
			testcontainers.WithWaitStrategyAndDeadline(startup,
				wait.ForExec([]string{"pg_isready", "-h", "127.0.0.1", "-U", s.role()})))
	}
}

// service starts a replica and waits for the health check of its image.
func (c *containers) service(s service) func(context.Context) (*testcontainers.DockerContainer, error) {
	return func(ctx context.Context) (*testcontainers.DockerContainer, error) {
		return testcontainers.Run(ctx, s.image(),
			network.WithNetwork([]string{s.name}, c.network),
			testcontainers.WithEnv(variables(s)),
			testcontainers.WithExposedPorts(s.port+"/tcp", s.admin+"/tcp"),
			confined,
			testcontainers.WithWaitStrategyAndDeadline(startup, wait.ForHealthCheck()))
	}
}

func (c *containers) migrate(ctx context.Context, s service) error {
	text, code, err := c.once(ctx, s, variables(s), "migrate")
	if err != nil || code == 0 {
		return err
	}
	return fmt.Errorf("%s migrate: exit code %d\n%s", s.name, code, text)
}

func (c *containers) Run(ctx context.Context, name string, environ []string, args ...string) (string, int, error) {
	for _, s := range services {
		if s.name != name {
			continue
		}
		env := map[string]string{}
		for _, pair := range environ {
			key, value, _ := strings.Cut(pair, "=")
			env[key] = value
		}
		return c.once(ctx, s, env, args...)
	}
	return "", 0, fmt.Errorf("no service named %q", name)
}

// once runs a service's image until it exits.
func (c *containers) once(ctx context.Context, s service, env map[string]string, args ...string) (string, int, error) {
	run, err := testcontainers.Run(ctx, s.image(),
		network.WithNetwork(nil, c.network),
		testcontainers.WithEnv(env),
		testcontainers.WithCmd(args...),
		confined,
		testcontainers.WithWaitStrategyAndDeadline(startup, wait.ForExit()))
	if err != nil {
		return "", 0, errors.Join(err, testcontainers.TerminateContainer(run))
	}
	text, logErr := logs(ctx, run)
	state, stateErr := run.State(ctx)
	if err := errors.Join(logErr, stateErr, run.Terminate(ctx)); err != nil {
		return "", 0, err
	}
	return string(text), state.ExitCode, nil
}

// confined takes from a service what the compose files take from it.
var confined = testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
	host.ReadonlyRootfs = true
	host.CapDrop = []string{"ALL"}
	host.SecurityOpt = []string{"no-new-privileges:true"}
})

func variables(s service) map[string]string {
	return map[string]string{
		"SERVICE_NAME":     s.name,
		"APP_ENV":          "test",
		"LISTEN_HOST":      "0.0.0.0",
		"PORT":             s.port,
		"ADMIN_PORT":       s.admin,
		"DB_HOST":          s.name + "-db",
		"DB_PORT":          "5432",
		"DB_USER":          s.role(),
		"DB_PASSWORD":      password,
		"REDIS_URL":        "redis://" + environment.Redis + ":6379/0",
		"SERVICE_SECRET":   environment.Secret,
		"REGISTRY":         "redis",
		"BREAKER_FAILURES": "3",
		"BREAKER_COOLDOWN": environment.Cooldown,
		"LOG_LEVEL":        environment.LogLevel,
	}
}
