package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-troika/troika/tools/stack/internal/console"
	"github.com/go-troika/troika/tools/stack/internal/demo"
	"github.com/go-troika/troika/tools/stack/internal/machine"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// watchable is the pause before each step of a story that the console runs again. The breaker
// is still open after it.
const watchable = demo.Cooldown * 3 / 4

// demo starts a stack, runs the story on it, and on a terminal leaves it up, with its
// console, until Ctrl-C.
func (a *app) demo(ctx context.Context, args []string) error {
	if _, err := a.parse(a.flags("demo"), args, 0, 0); err != nil {
		return err
	}
	a.Environ = a.Environ.With(map[string]string{"BREAKER_COOLDOWN": demo.Cooldown.String()})
	watched := a.Environ.Get("CI") == "" && isTerminal(os.Stdout)
	began := time.Now()
	d, err := a.choose(ctx, nameDemo)
	if err != nil {
		return err
	}
	if watched && d == nil {
		if err := a.sendTraces(); err != nil {
			return err
		}
		a.Environ = a.Environ.With(map[string]string{"LOG_LEVEL": cmp.Or(a.Environ.Get("LOG_LEVEL"), "debug")})
	}
	s, err := a.launch(ctx, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "all ready after %s; the breaker's cooldown is %s here, 30s otherwise\n",
		stack.Short(time.Since(began)), demo.Cooldown)
	if !watched {
		return errors.Join(a.play(ctx, s, a.out, 0), s.Down(context.Background()))
	}
	return a.stop(s, a.present(ctx, s))
}

// present runs the story with the console open, and keeps the stack up.
func (a *app) present(ctx context.Context, s launched) error {
	c, err := a.demoConsole(ctx, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	closed := make(chan error, 1)
	go func() { closed <- c.Run(ctx) }()
	fmt.Fprintf(a.out, "console: %s\n", c.URL())
	if err = a.play(ctx, s, io.MultiWriter(a.out, c.Story()), 0); err == nil {
		status, _ := s.Status(ctx)
		fmt.Fprintln(a.out)
		status.Print(a.out)
		fmt.Fprintf(a.out, "\nstill up, until Ctrl-C. Each service shows its API at /docs. Watch it live:\n  %s\n"+
			"In another terminal:\n"+
			"  bin/stack status | logs -f | chaos kill user-service | token --audience user-service\n", c.URL())
		a.hold(ctx, s)
	}
	cancel()
	return errors.Join(err, <-closed)
}

// demoConsole opens the console of a demo, with a button that runs the story again.
func (a *app) demoConsole(ctx context.Context, s stack.Handle) (*console.Console, error) {
	status, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	port, err := new(machine.Ports).Take(pagePort)
	if err != nil {
		return nil, err
	}
	return a.openConsole(console.Config{
		Listen: fmt.Sprintf("127.0.0.1:%d", port), Receiver: a.freeReceiver(status), Stack: s,
		Runs: map[string]console.Run{
			"demo": func(ctx context.Context, out io.Writer) error { return a.play(ctx, s, out, watchable) },
		},
	})
}

// play runs the story, with a pause before each step. If it fails, it prints the log lines of the failed request.
func (a *app) play(ctx context.Context, s stack.Handle, out io.Writer, pause time.Duration) error {
	sign, err := a.signer("gateway")
	if err != nil {
		return err
	}
	err = (&demo.Story{Stack: s, Sign: sign, Out: out, Pause: pause}).Play(ctx)
	failure := new(demo.Failure)
	if !errors.As(err, &failure) || failure.Trace == "" {
		return err
	}
	var logs strings.Builder
	_ = s.Logs(ctx, &logs, false, "")
	for line := range strings.Lines(logs.String()) {
		if strings.Contains(line, strings.ReplaceAll(failure.Trace, "-", "")) {
			fmt.Fprintf(a.err, "%.1000s\n", strings.TrimSpace(line))
		}
	}
	return err
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
