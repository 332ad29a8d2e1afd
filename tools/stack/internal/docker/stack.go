// Package docker runs a stack as containers, by docker compose and the
// repository's own compose.yaml. The stack lives in the Docker engine: any
// invocation can attach to it.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// pullLimit bounds the wait for images that are not on the machine yet.
const pullLimit = 3 * time.Minute

// Stack is a composition, whose project name is that of the stack. It is safe for
// concurrent use, but Up.
type Stack struct {
	stack.Options
	supervisor *process.Supervisor // from Up to Leave; runs Down if this process dies
}

// Engine returns nil if a Docker engine answers that can run the compose file of
// root, and otherwise the reason in a line.
func Engine(ctx context.Context, root string) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("no docker command")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := docker(ctx, root, nil, "version", "--format", "{{.Server.Version}}"); err != nil {
		return errors.New("no Docker engine answers")
	}
	if _, err := docker(ctx, root, nil, "compose", "config", "--quiet"); err != nil {
		return fmt.Errorf("docker compose does not take compose.yaml: %w", err)
	}
	return nil
}

// Images pulls the images that are not on the machine and builds those of the services.
// Its error is a reason to run without containers.
func (s *Stack) Images(ctx context.Context) error {
	pulling, cancel := context.WithTimeout(ctx, pullLimit)
	defer cancel()
	fmt.Fprintln(s.Progress, "building the images (some minutes the first time, seconds when nothing changed)")
	began := time.Now()
	if _, err := s.compose(pulling, "pull", "--quiet", "--policy", "missing", "--ignore-buildable"); err != nil {
		return fmt.Errorf("the images cannot be pulled: %w", err)
	}
	if _, err := s.compose(ctx, "build", "--quiet"); err != nil {
		return fmt.Errorf("the images cannot be built: %w", err)
	}
	fmt.Fprintf(s.Progress, "built in %s\n", stack.Short(time.Since(began)))
	return nil
}

// Up starts the containers and returns when all are healthy. After an error, as after
// success, the caller ends with [Stack.Down] or [Stack.Leave].
func (s *Stack) Up(ctx context.Context) error {
	if err := s.choosePorts(); err != nil {
		return err
	}
	supervisor, err := process.NewSupervisor(nil)
	if err != nil {
		return err
	}
	s.supervisor = supervisor
	supervisor.RunOnExit(s.downCommand()...)
	args := []string{"up", "--detach", "--wait", "--quiet-pull"}
	for service, n := range s.Scale {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, n))
	}
	began := time.Now()
	_, err = s.compose(ctx, args...)
	status, statusErr := s.Status(context.WithoutCancel(ctx))
	if err != nil {
		logs := []string{"logs", "--no-color", "--tail", "15"}
		for _, p := range status.Parts {
			if p.State != stack.Ready && p.Detail != finished {
				logs = append(logs, p.Service)
			}
		}
		output, _ := s.compose(context.WithoutCancel(ctx), logs...)
		return fmt.Errorf("%w\n%s", err, output)
	}
	for _, p := range status.Parts {
		if p.State == stack.Ready {
			p.Announce(s.Progress)
		}
	}
	fmt.Fprintf(s.Progress, "all healthy in %s\n", stack.Short(time.Since(began)))
	return statusErr
}

// choosePorts moves the services to other host ports where theirs are busy.
func (s *Stack) choosePorts() error {
	var ports machine.Ports
	chosen := map[string]string{}
	for _, service := range s.Services {
		variable := service.Variable() + "_PORT"
		if s.Environ.Get(variable) != "" {
			continue
		}
		wanted := service.Port
		if s.FreePorts {
			wanted = 0
		}
		port, err := ports.Take(wanted)
		if err != nil {
			return err
		}
		chosen[variable] = strconv.Itoa(port)
		if wanted > 0 && port != wanted {
			fmt.Fprintf(s.Progress, "port %d is busy: %s takes %d\n", wanted, service.Name, port)
		}
	}
	s.Environ = s.Environ.With(chosen)
	return nil
}

// DownAsked returns nil: another invocation runs Down itself.
func (s *Stack) DownAsked() <-chan struct{} { return nil }

// Leave lets the containers outlive this process.
func (s *Stack) Leave() error {
	s.supervisor.CancelRun(s.downCommand()...)
	return s.supervisor.Close()
}

// Status implements [stack.Handle].
func (s *Stack) Status(ctx context.Context) (stack.Status, error) {
	status := stack.Status{Name: s.Name, World: stack.Docker}
	ids, err := docker(ctx, s.Root, nil, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+s.Name)
	if err != nil || strings.TrimSpace(ids) == "" {
		return status, err
	}
	text, err := docker(ctx, s.Root, nil, append([]string{"inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		return status, err
	}
	status.Parts, err = ParseInspect([]byte(text), s.Services, time.Now())
	status.Ready = len(status.Parts) > 0
	for i, p := range status.Parts {
		status.Parts[i].RSS = memory(p.PID, p.Container)
		status.Ready = status.Ready && (p.State == stack.Ready || p.Detail == finished)
	}
	return status, err
}

// downCommand returns the command that removes the composition and its data.
func (s *Stack) downCommand() []string {
	return []string{
		"docker", "compose", "-f", filepath.Join(s.Root, "compose.yaml"), "-p", s.Name,
		"down", "--volumes", "--remove-orphans",
	}
}

// Down implements [stack.Handle].
func (s *Stack) Down(ctx context.Context) error {
	_, err := docker(ctx, s.Root, s.Environ, s.downCommand()[1:]...)
	if s.supervisor != nil {
		err = errors.Join(err, s.Leave())
	}
	return err
}

// Logs implements [stack.Handle].
func (s *Stack) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	args := []string{"compose", "--ansi", "never", "-p", s.Name, "logs"}
	if follow {
		args = append(args, "--follow")
	}
	if name != "" {
		parts, err := s.named(ctx, name)
		if err != nil {
			return err
		}
		for _, p := range parts {
			args = append(args, p.Service)
		}
	}
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Root, out, out
	if err := cmd.Run(); ctx.Err() == nil {
		return err
	}
	return nil
}

var chaosCommands = map[string]string{
	stack.Kill: "kill", stack.Stop: "stop", stack.Pause: "pause", stack.Resume: "unpause", stack.Start: "start",
}

// Chaos implements [stack.Handle].
func (s *Stack) Chaos(ctx context.Context, verb, name string) error {
	parts, err := s.named(ctx, name)
	if err != nil {
		return err
	}
	args := []string{chaosCommands[verb]}
	for _, p := range parts {
		args = append(args, p.Container)
	}
	if _, err := docker(ctx, s.Root, nil, args...); err != nil || verb != stack.Start {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		parts, err := s.named(ctx, name)
		if err != nil {
			return fmt.Errorf("wait until %s is ready: %w", name, err)
		}
		if !slices.ContainsFunc(parts, func(p stack.Part) bool { return p.State != stack.Ready }) {
			return nil
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (s *Stack) named(ctx context.Context, name string) ([]stack.Part, error) {
	status, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	return status.Named(name)
}

func (s *Stack) compose(ctx context.Context, args ...string) (string, error) {
	return docker(ctx, s.Root, s.Environ, append([]string{"compose", "-p", s.Name}, args...)...)
}

// docker runs a docker command in dir, with the own environment if environ is nil. The
// error ends with the last lines of its standard error.
func docker(ctx context.Context, dir string, environ []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var out, errs strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environ, &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C must not reach it
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		return "", fmt.Errorf("docker %s: %w\n%s", args[0], err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.String(), nil
}
