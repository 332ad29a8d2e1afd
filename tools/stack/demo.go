package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-troika/troika/tools/stack/internal/demo"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// demo starts a stack, runs the story on it, and on a terminal leaves it up until Ctrl-C.
func (a *app) demo(ctx context.Context, args []string) error {
	if _, err := a.parse(a.flags("demo"), args, 0, 0); err != nil {
		return err
	}
	a.Environ = a.Environ.With(map[string]string{"BREAKER_COOLDOWN": demo.Cooldown.String()})
	began := time.Now()
	d, err := a.choose(ctx, nameDemo)
	if err != nil {
		return err
	}
	s, err := a.launch(ctx, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "all ready after %s; the breaker's cooldown is %s here, 30s otherwise\n",
		stack.Short(time.Since(began)), demo.Cooldown)
	if err = a.play(ctx, s); err != nil || a.Environ.Get("CI") != "" || !isTerminal(os.Stdout) {
		return errors.Join(err, s.Down(context.Background()))
	}
	status, _ := s.Status(ctx)
	fmt.Fprintln(a.out)
	status.Print(a.out)
	fmt.Fprint(a.out, "\nstill up, until Ctrl-C. Each service shows its API at /docs. In another terminal:\n"+
		"  bin/stack status | logs -f | chaos kill user-service | token --audience user-service\n")
	a.hold(ctx, s)
	return a.stop(s, nil)
}

// play runs the story. If it fails, it prints the log lines of the failed request.
func (a *app) play(ctx context.Context, s stack.Handle) error {
	sign, err := a.signer("gateway")
	if err != nil {
		return err
	}
	err = (&demo.Story{Stack: s, Sign: sign, Out: a.out}).Play(ctx)
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
