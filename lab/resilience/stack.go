package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-troika/troika/e2e/world"
)

// Cooldown of order-service's breaker here; 30 s otherwise.
const Cooldown = time.Second

// Pool is how many database connections each service has here, and InFlight how
// many requests it therefore lets in at a time.
const (
	Pool     = 10
	InFlight = 4 * Pool
)

// Verbs of [Stack.Do].
const (
	Kill   = "kill"   // SIGKILL
	Stop   = "stop"   // SIGTERM, and wait for the end
	Pause  = "pause"  // SIGSTOP
	Resume = "resume" // undo Pause
	Launch = "start"  // start what has ended, and wait until it is ready
)

var scale = map[string]int{world.User: 3, world.Order: 2, world.Profile: 2}

// Part is one process of the stack.
type Part struct {
	Name    string `json:"name"`
	Service string `json:"service"`
	State   string `json:"state"`
	URL     string `json:"url"`
}

// Host is the part's host and port.
func (p Part) Host() string {
	_, host, _ := strings.Cut(p.URL, "://")
	return host
}

// Stack is a system of local processes, driven through the stack command.
type Stack struct {
	Relay *Relay // between the services and Redis

	command, name string
	parts         []Part
}

// Open starts three instances of user-service and two of each other service. The
// caller ends with [Stack.Close], after an error too.
func Open(ctx context.Context, command, name string) (*Stack, error) {
	s := &Stack{command: command, name: name}
	var err error
	if s.Relay, err = NewRelay(); err != nil {
		return s, err
	}
	args := []string{"up", "--detach", "--json", "--world", "local", "--ports", "free", "--redis-via", s.Relay.Addr()}
	for service, n := range scale {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, n))
	}
	text, err := s.run(ctx, args...)
	if err != nil {
		return s, err
	}
	if s.parts, err = decode(text); err != nil {
		return s, err
	}
	_, address, _ := strings.Cut(s.Part(world.Redis).URL, "@")
	s.Relay.Target(strings.TrimSuffix(address, "/0"))
	return s, nil
}

// Close ends the stack and leaves nothing behind.
func (s *Stack) Close() error {
	_, err := s.run(context.Background(), "down")
	if s.Relay != nil {
		err = errors.Join(err, s.Relay.Close())
	}
	return err
}

// Do does a verb to a part, or to all parts of a service that are not yet in that
// state, and returns when it has taken effect.
func (s *Stack) Do(ctx context.Context, verb, name string) error {
	_, err := s.run(ctx, "chaos", verb, name)
	return err
}

// Heal starts what has ended and resumes what is paused.
func (s *Stack) Heal(ctx context.Context) error {
	s.Relay.Delay(0)
	text, err := s.run(ctx, "status", "--json")
	if err != nil {
		return err
	}
	parts, err := decode(text)
	if err != nil {
		return err
	}
	for _, p := range parts {
		switch p.State {
		case "exited":
			err = errors.Join(err, s.Do(ctx, Launch, p.Name))
		case "paused":
			err = errors.Join(err, s.Do(ctx, Resume, p.Name))
		}
	}
	return err
}

// Part returns the part of that name.
func (s *Stack) Part(name string) Part {
	for _, p := range s.parts {
		if p.Name == name {
			return p
		}
	}
	panic("resilience: no part " + name)
}

// Instances returns the parts of a service.
func (s *Stack) Instances(service string) []Part {
	var all []Part
	for _, p := range s.parts {
		if p.Service == service {
			all = append(all, p)
		}
	}
	return all
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

func (s *Stack) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.command, append(args, "--name", s.name)...)
	cmd.Env = append(os.Environ(), "SERVICE_SECRET="+world.Secret, "LOG_LEVEL=warn",
		fmt.Sprintf("DB_POOL_MAX=%d", Pool), "BREAKER_COOLDOWN="+Cooldown.String())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("stack %s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), nil
}

func decode(text []byte) ([]Part, error) {
	var status struct {
		Parts []Part `json:"parts"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, fmt.Errorf("decode the stack's status: %w", err)
	}
	return status.Parts, nil
}
