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
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// pullLimit bounds the wait for images that are not on the machine yet.
const pullLimit = 3 * time.Minute

// Stack is a composition under a project name. It is safe for concurrent use.
type Stack struct {
	Name      string
	Root      string // the checkout, where compose.yaml is
	Services  []checkout.Service
	Scale     map[string]int    // replicas per service
	Environ   machine.Environ   // of the caller
	Variables map[string]string // what compose.yaml lets the environment set
	Out       io.Writer
}

// Engine reports whether a Docker engine answers that can run the compose file of
// root; the error says in a line why it can't.
func Engine(ctx context.Context, root string) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("no docker command")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := output(ctx, root, "version", "--format", "{{.Server.Version}}"); err != nil {
		return errors.New("no Docker engine answers")
	}
	if _, err := os.Stat(filepath.Join(root, "compose.yaml")); err != nil {
		return errors.New("there is no compose.yaml")
	}
	if _, err := output(ctx, root, "compose", "config", "--quiet"); err != nil {
		return fmt.Errorf("docker compose does not take compose.yaml: %w", err)
	}
	return nil
}

// Images sees to it that the base images are on the machine and that the
// services' images are built. Its error is a reason to run without containers.
func (s *Stack) Images(ctx context.Context) error {
	images, err := s.baseImages(ctx)
	if err != nil {
		return err
	}
	pull, cancel := context.WithTimeout(ctx, pullLimit)
	defer cancel()
	for _, image := range images {
		if _, err := output(ctx, s.Root, "image", "inspect", image); err == nil {
			continue
		}
		fmt.Fprintf(s.Out, "pulling %s\n", image)
		if _, err := output(pull, s.Root, "pull", "--quiet", image); err != nil {
			return fmt.Errorf("image %s cannot be had: %w", image, err)
		}
	}
	fmt.Fprintln(s.Out, "building the images (some minutes the first time, seconds when nothing changed)")
	began := time.Now()
	if _, err := s.compose(ctx, "build", "--quiet"); err != nil {
		return fmt.Errorf("the images cannot be built: %w", err)
	}
	fmt.Fprintf(s.Out, "built in %s\n", world.Short(time.Since(began)))
	return nil
}

// baseImages lists what the services are built from and what runs beside them.
func (s *Stack) baseImages(ctx context.Context) ([]string, error) {
	text, err := s.compose(ctx, "config", "--format", "json")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var images []string
	add := func(image string) {
		if !seen[image] && image != "" {
			images = append(images, image)
		}
		seen[image] = true
	}
	files, err := parseConfig([]byte(text), add)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		dockerfile, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, image := range ParseFrom(string(dockerfile)) {
			add(image)
		}
	}
	return images, nil
}

// Up starts the containers and returns when all are healthy.
func (s *Stack) Up(ctx context.Context) error {
	args := []string{"up", "--detach", "--wait", "--quiet-pull"}
	for service, n := range s.Scale {
		args = append(args, "--scale", fmt.Sprintf("%s=%d", service, n))
	}
	began := time.Now()
	if _, err := s.compose(ctx, args...); err != nil {
		return fmt.Errorf("%w\n%s", err, s.lastWords(context.WithoutCancel(ctx)))
	}
	status, err := s.Status(ctx)
	for _, p := range status.Parts {
		if p.State == world.Ready {
			p.Announce(s.Out)
		}
	}
	fmt.Fprintf(s.Out, "all healthy in %s\n", world.Short(time.Since(began)))
	return err
}

// lastWords are the last lines of the parts that are not as they should be.
func (s *Stack) lastWords(ctx context.Context) string {
	args := []string{"logs", "--no-color", "--tail", "15"}
	status, _ := s.Status(ctx)
	for _, p := range status.Parts {
		if p.State != world.Ready && p.Detail != finished {
			args = append(args, p.Service)
		}
	}
	said, _ := s.compose(ctx, args...)
	return said
}

// DownCommand is the command that removes the composition and its data.
func (s *Stack) DownCommand() []string {
	return []string{
		"docker", "compose", "--project-directory", s.Root, "-f", filepath.Join(s.Root, "compose.yaml"),
		"-p", s.Name, "down", "--volumes", "--remove-orphans",
	}
}

// Down implements [world.World].
func (s *Stack) Down(ctx context.Context) error {
	argv := s.DownCommand()
	_, err := s.run(ctx, argv[1:])
	return err
}

// Logs implements [world.World].
func (s *Stack) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	args := []string{"compose", "--ansi", "never", "-p", s.Name, "logs"}
	if follow {
		args = append(args, "--follow")
	}
	if name != "" {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		parts, err := status.Named(name)
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

// Chaos implements [world.World].
func (s *Stack) Chaos(ctx context.Context, verb, name string) error {
	command, ok := map[string]string{
		world.Kill: "kill", world.Stop: "stop", world.Pause: "pause", world.Resume: "unpause", world.Start: "start",
	}[verb]
	if !ok {
		return fmt.Errorf("no verb %q; there are: %s", verb, strings.Join(world.Verbs, ", "))
	}
	all, ids, err := s.inspect(ctx)
	if err != nil {
		return err
	}
	parts, err := world.Status{Parts: all}.Named(name)
	if err != nil {
		return err
	}
	args := []string{command}
	for _, p := range parts {
		args = append(args, ids[p.Name])
	}
	if _, err := output(ctx, s.Root, args...); err != nil || verb != world.Start {
		return err
	}
	return s.awaitReady(ctx, name)
}

func (s *Stack) awaitReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		parts, err := status.Named(name)
		if err != nil {
			return err
		}
		ready := 0
		for _, p := range parts {
			if p.State == world.Ready {
				ready++
			}
		}
		if ready == len(parts) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Stack) compose(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, append([]string{"compose", "-p", s.Name}, args...))
}

func (s *Stack) run(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir, cmd.Env = s.Root, s.Environ.With(s.Variables)
	return outputOf(cmd)
}

func output(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir = dir
	return outputOf(cmd)
}

// outputOf runs cmd; its error ends with the last lines that the command wrote.
func outputOf(cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is ours to pass on
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		return "", fmt.Errorf("docker %s: %w\n%s", cmd.Args[1], err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.String(), nil
}
