package durability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/go-troika/troika/e2e/world"
)

// stack is a system of local processes, driven through the stack command.
type stack struct {
	command, name string
	dir           string // where it keeps its data
	parts         []part
}

type part struct {
	Name      string `json:"name"`
	Service   string `json:"service"`
	URL       string `json:"url"`
	AdminPort int    `json:"adminPort"`
	PID       int    `json:"pid"`
}

type status struct {
	Dir   string `json:"dir"`
	Parts []part `json:"parts"`
}

// start runs the services, replicas of each.
func start(ctx context.Context, command, name string, replicas int) (*stack, error) {
	s := &stack{command: command, name: name}
	args := []string{"up", "--detach", "--json", "--world", "local", "--ports", "free"}
	for _, service := range world.Services {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, replicas))
	}
	text, err := s.run(ctx, args...)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	var now status
	if err := json.Unmarshal(text, &now); err != nil {
		return nil, errors.Join(fmt.Errorf("decode the stack's status: %w", err), s.stop())
	}
	s.dir, s.parts = now.Dir, now.Parts
	return s, nil
}

func (s *stack) stop() error {
	_, err := s.run(context.Background(), "down")
	return err
}

func (s *stack) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.command, append(args, "--name", s.name)...)
	cmd.Env = append(os.Environ(), "SERVICE_SECRET="+world.Secret, "LOG_LEVEL=warn", "DB_POOL_MAX=10")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("stack %s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), nil
}

// chaos does kill (as kill -9), start, pause (SIGSTOP) or resume to a part.
func (s *stack) chaos(ctx context.Context, verb, name string) error {
	_, err := s.run(ctx, "chaos", verb, name)
	return err
}

// victims are the instances of some services.
func (s *stack) victims(services ...string) []string {
	var names []string
	for _, p := range s.parts {
		if slices.Contains(services, p.Service) {
			names = append(names, p.Name)
		}
	}
	return names
}

// base returns where one of the instances of a service is asked for path: what
// people do about events is on the admin port.
func (s *stack) base(service, path string) string {
	var urls []string
	for _, p := range s.parts {
		switch {
		case p.Service != service:
		case path == statusPath:
			urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d", p.AdminPort))
		default:
			urls = append(urls, p.URL)
		}
	}
	return urls[rand.IntN(len(urls))]
}

const statusPath = "/events/status"
