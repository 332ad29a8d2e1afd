package durability_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
)

// start runs the services, replicas of each, as local processes.
func start(ctx context.Context, command, name string, replicas int) (*driver.Stack, error) {
	scale := map[string]int{}
	for _, service := range environment.Services {
		scale[service] = replicas
	}
	return driver.Up(ctx, driver.Options{
		Root: "../..", Command: command, Name: name, Scale: scale,
		Env: []string{"SERVICE_SECRET=" + environment.Secret, "LOG_LEVEL=warn", "DB_POOL_MAX=10"},
	})
}

// names returns the names of all instances of the services.
func (l *lab) names(services ...string) []string {
	var names []string
	for _, p := range l.stack.Instances(services...) {
		names = append(names, p.Name)
	}
	return names
}

// flush sends FLUSHALL to the stack's Redis.
func (l *lab) flush(ctx context.Context) error {
	opts, err := redis.ParseURL(l.stack.Part(environment.Redis).URL)
	if err != nil {
		return fmt.Errorf("the address of Redis: %w", err)
	}
	c := redis.NewClient(opts)
	defer c.Close()
	return c.FlushAll(ctx).Err()
}

// sessions returns the processes of Postgres that serve a service's connections. It
// finds them by their titles in ps: the lab has no password of Postgres.
func (l *lab) sessions(ctx context.Context, service string) ([]int, error) {
	now := *l.stack // others read the parts meanwhile
	if err := now.Refresh(ctx); err != nil {
		return nil, err
	}
	parent := strconv.Itoa(now.Part("postgres").PID)
	processes, err := exec.CommandContext(ctx, "ps", "-A", "-ww", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	want := []string{parent, "postgres:", strings.ReplaceAll(service, "-", "_")}
	var found []int
	for line := range strings.Lines(string(processes)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !slices.Equal(fields[1:4], want) {
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
