package durability

import (
	"context"
	"math/rand/v2"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/world"
)

// stack is a system of local processes.
type stack struct{ *driver.Stack }

// start runs the services, replicas of each.
func start(ctx context.Context, command, name string, replicas int) (*stack, error) {
	scale := map[string]int{}
	for _, service := range world.Services {
		scale[service] = replicas
	}
	s, err := driver.Up(ctx, driver.Options{
		Root: "../..", Command: command, Name: name, Scale: scale,
		Env: []string{"SERVICE_SECRET=" + world.Secret, "LOG_LEVEL=warn", "DB_POOL_MAX=10"},
	})
	if err != nil {
		return nil, err
	}
	return &stack{s}, nil
}

// names returns the names of all instances of the services.
func (s *stack) names(services ...string) []string {
	var names []string
	for _, p := range s.Instances(services...) {
		names = append(names, p.Name)
	}
	return names
}

// base returns the base URL for path of one of the instances of a service: the operator's
// routes are on the admin port.
func (s *stack) base(service, path string) string {
	instances := s.Instances(service)
	one := instances[rand.IntN(len(instances))]
	if path == statusPath {
		return one.Admin()
	}
	return one.URL
}

const statusPath = "/events/status"
