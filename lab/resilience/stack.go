package resilience

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/world"
)

// Cooldown of order-service's breaker here; 30 s otherwise.
const Cooldown = time.Second

// Pool is how many database connections each service has here, and InFlight how
// many requests it therefore admits at a time.
const (
	Pool     = 10
	InFlight = 4 * Pool
)

var scale = map[string]int{world.User: 3, world.Order: 2, world.Profile: 2}

// Part is one process of the stack.
type Part = driver.Part

// Stack is a system of local processes.
type Stack struct {
	*driver.Stack
	Relay *Relay // between the services and Redis
}

// Open starts three instances of user-service and two of each other service.
func Open(ctx context.Context, command, name string) (*Stack, error) {
	relay, err := NewRelay()
	if err != nil {
		return nil, err
	}
	s, err := driver.Up(ctx, driver.Options{
		Root: "../..", Command: command, Name: name, Scale: scale, Args: []string{"--redis-via", relay.Addr()},
		Env: []string{"SERVICE_SECRET=" + world.Secret, "LOG_LEVEL=warn",
			fmt.Sprintf("DB_POOL_MAX=%d", Pool), "BREAKER_COOLDOWN=" + Cooldown.String()},
	})
	if err != nil {
		return nil, errors.Join(err, relay.Close())
	}
	_, address, _ := strings.Cut(s.Part(world.Redis).URL, "@")
	relay.Target(strings.TrimSuffix(address, "/0"))
	return &Stack{s, relay}, nil
}

// Close ends the stack and leaves nothing behind.
func (s *Stack) Close() error { return errors.Join(s.Down(), s.Relay.Close()) }

// Heal starts what has ended and resumes what is paused.
func (s *Stack) Heal(ctx context.Context) error {
	s.Relay.Delay(0)
	now := *s.Stack
	err := now.Refresh(ctx)
	for _, p := range now.Parts {
		switch p.State {
		case "exited":
			err = errors.Join(err, s.Do(ctx, driver.Start, p.Name))
		case "paused":
			err = errors.Join(err, s.Do(ctx, driver.Resume, p.Name))
		}
	}
	return err
}

// urls is the comma list of a service's addresses.
func (s *Stack) urls(service string) string {
	var all []string
	for _, p := range s.Instances(service) {
		all = append(all, p.URL)
	}
	return strings.Join(all, ",")
}

// redisURL is where Redis is found behind the relay.
func (s *Stack) redisURL() string {
	credentials, _, _ := strings.Cut(s.Part(world.Redis).URL, "@")
	return credentials + "@" + s.Relay.Addr() + "/0"
}
