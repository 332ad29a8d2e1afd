package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

func commands() []command {
	return []command{
		{"up", "[--detach] [--scale SERVICE=N]… [--infra-only] [--ports free] [--redis-via HOST:PORT] [--json]", "run the stack until Ctrl-C, or in the background", (*app).up, true},
		{"down", "", "stop the stack and remove its data", (*app).down, false},
		{"demo", "", "play the story of the three services, in five checked steps", (*app).demo, true},
		{"test", "[--run PATTERN] [--short] [PACKAGES]", "run all tests with the race detector on a private Postgres and Redis", (*app).test, false},
		{"status", "[--json]", "show every part: state, pid, port, memory, time to ready", (*app).status, false},
		{"logs", "[-f] [NAME]", "show what the parts print", (*app).logs, false},
		{"chaos", "kill|stop|pause|resume|start NAME", "disturb a part: user-service, user-service-2, postgres, redis", (*app).chaos, false},
		{"events", "status|dead|waiting|redrive|discard|replay|pause|resume|partitions SERVICE [--id ID|--event NAME|--all] [--reason TEXT] [--service S] [--since TIME|--position N] [--partition N] [--unseen] [--count N] [--url URL]", "look after the events that a service consumes, or (partitions) divides its own into", (*app).events, false},
		{"token", "--service CALLER --audience CALLEE", "print a service token", (*app).token, false},
		{"infra", "[--detach]", "run Postgres and Redis alone, for go test by hand", (*app).infra, false},
		{"doctor", "", "say what this machine has and which world would run", (*app).doctor, false},
	}
}

type command struct {
	name, args, what string
	run              func(*app, context.Context, []string) error
	needsServices    bool
}

func usage(out io.Writer) {
	fmt.Fprint(out, "usage: stack COMMAND [FLAGS]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(out, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.what)
	}
	fmt.Fprint(out, `
every command takes
  --world auto|local|docker   containers or processes (STACK_WORLD; default auto)
  --name NAME                 keeps stacks of one checkout apart (STACK_NAME)
further variables
  PG_BINDIR                   the folder of Postgres' programs
  STACK_NO_INSTALL=1          never install a missing part with apt-get
`)
}

var stackName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// flags returns a flag set with the flags that every command takes.
func (a *app) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&a.name, "name", a.name, "")
	fs.StringVar(&a.world, "world", a.world, "")
	return fs
}

// parse reads flags and between min and max other arguments, in any order.
func (a *app) parse(fs *flag.FlagSet, args []string, min, max int) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			usage(a.out)
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", fs.Name(), err, errUsage)
		}
		if fs.NArg() == 0 {
			break
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case !slices.Contains([]string{world.Auto, world.Local, world.Docker}, a.world):
		return nil, fmt.Errorf("%s: world %q is none of auto, local, docker: %w", fs.Name(), a.world, errUsage)
	case a.name != "" && !stackName.MatchString(a.name):
		return nil, fmt.Errorf("%s: name %q is not 1 to 32 lower-case letters, digits and hyphens: %w", fs.Name(), a.name, errUsage)
	case len(rest) < min || len(rest) > max:
		return nil, fmt.Errorf("%s: wrong number of arguments, %d: %w", fs.Name(), len(rest), errUsage)
	}
	return rest, nil
}

// scales is the value of --scale, given once for each service.
type scales map[string]int

// String implements [flag.Value].
func (s scales) String() string { return "" }

// Set implements [flag.Value].
func (s scales) Set(text string) error {
	service, count, _ := strings.Cut(text, "=")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 50 {
		return errors.New("want SERVICE=N with N from 1 to 50")
	}
	s[service] = n
	return nil
}

func (s scales) check(services []checkout.Service) error {
	for name := range s {
		if !slices.ContainsFunc(services, func(c checkout.Service) bool { return c.Name == name }) {
			return fmt.Errorf("--scale: no service %q: %w", name, errUsage)
		}
	}
	return nil
}
