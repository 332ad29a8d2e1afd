package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-troika/troika/tools/stack/internal/stack"
)

type command struct {
	name, args, summary string
	run                 func(*app, context.Context, []string) error
}

func commands() []command {
	return []command{
		{"up", "[--detach] [--scale SERVICE=N]… [--infra-only] [--ports free] [--redis-via HOST:PORT] [--secure]\n      [--json]",
			"run the stack until Ctrl-C, or in the background", (*app).up},
		{"down", "", "stop the stack and remove its data", (*app).down},
		{"demo", "", "create a user, break user-service and restore it, in five checked steps", (*app).demo},
		{"test", "[--run PATTERN] [--short] [PACKAGES]",
			"run all tests with the race detector on a private Postgres and Redis", (*app).test},
		{"status", "[--json]", "show every part: state, pid, port, memory, time to ready", (*app).status},
		{"logs", "[-f] [NAME]", "show what the parts print", (*app).logs},
		{"chaos", "kill|stop|pause|resume|start NAME",
			"inject a fault into a part: user-service, user-service-2, postgres, redis", (*app).chaos},
		{"console", "[--listen HOST:PORT] [--receiver HOST:PORT] [--forward URL]\n      [--service NAME=URL,ADMIN_URL]…",
			"show a stack that is up on a web page, live; with --service also one that it did not start", (*app).console},
		{"events", strings.Join(eventVerbs, "|") + " SERVICE [--id ID|--event NAME|--all] [--reason TEXT] " +
			"[--service S] [--since TIME|--position N] [--partition N] [--unseen] [--count N] [--url URL]",
			"show, redrive, discard, replay or pause the events that a service consumes; set the number of its own partitions", (*app).events},
		{"levels", "SERVICE [LEVEL [PACKAGE=LEVEL]…] [--url URL]",
			"show or replace the levels of a service's log, until it ends: debug, info, warn, error", (*app).levels},
		{"load", "[--clients N] [--rate N] [--duration D]", "send requests, and print their rates and a histogram of their durations",
			(*app).load},
		{"seed", "[--users N] [--number N]", "add users and orders to look at; the same number adds the same ones, once", (*app).seed},
		{"secrets", "[--dir DIR]", "make the passwords and the certificate of Redis for deploy/production.yml", (*app).secrets},
		{"token", "--service CALLER --audience CALLEE", "print a service token", (*app).token},
		{"login", "--email EMAIL [--url URL]", "print the access token of a person; asks for the password, or reads it from standard input",
			(*app).login},
		{"keys", strings.Join(keyVerbs, "|") + " [SERVICE]… [--dir DIR]",
			"make, list, rotate or prune the keys that services sign tokens with; without a name those of all", (*app).keys},
		{"infra", "[--detach]", "run Postgres and Redis alone, for go test by hand", (*app).infra},
		{"doctor", "", "show what this machine has, and whether stack up would run containers or processes", (*app).doctor},
	}
}

func usage(out io.Writer) {
	fmt.Fprint(out, "usage: stack COMMAND [FLAGS]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(out, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	fmt.Fprint(out, `
every command takes
  --world auto|local|docker   containers or processes (STACK_WORLD; default auto)
  --name NAME                 keeps stacks of one checkout apart (STACK_NAME)
further variables
  STACK_KEYS                  a folder made by stack keys: the services sign with their own keys
  PG_BINDIR                   the folder of Postgres' programs
  STACK_NO_INSTALL=1          never install a missing part with apt-get
`)
}

var stackName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// flags returns a flag set with the flags that every command takes.
func (a *app) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&a.Name, "name", a.Name, "")
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
	var problem string
	switch {
	case !slices.Contains([]string{stack.Auto, stack.Local, stack.Docker}, a.world):
		problem = fmt.Sprintf("world %q is none of auto, local, docker", a.world)
	case a.Name != "" && !stackName.MatchString(a.Name):
		problem = fmt.Sprintf("name %q is not 1 to 32 lower-case letters, digits and hyphens", a.Name)
	case len(rest) < min || len(rest) > max:
		problem = fmt.Sprintf("wrong number of arguments, %d", len(rest))
	default:
		return rest, nil
	}
	return nil, fmt.Errorf("%s: %s: %w", fs.Name(), problem, errUsage)
}
