package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/environment/containers"
	"github.com/go-troika/troika/e2e/environment/processes"
)

// starting covers the first build of all images on a slow machine.
const starting = 10 * time.Minute

// lazy is an environment that starts with its first scenario.
type lazy struct {
	name  string
	start func() (environment.Environment, error)
}

var environments []lazy

func TestMain(m *testing.M) {
	var err error
	if environments, err = choose(os.Getenv("TEST_WORLDS"), os.Getenv("STACK_BIN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	if err := closeAll(); err != nil {
		fmt.Fprintln(os.Stderr, "close:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var (
	startedMu sync.Mutex
	started   []environment.Environment
)

func choose(names, stack string) ([]lazy, error) {
	if names == "" {
		names = "local"
	}
	var chosen []lazy
	for name := range strings.SplitSeq(names, ",") {
		var start func(ctx context.Context, root string) (environment.Environment, error)
		switch name {
		case "local":
			start = func(ctx context.Context, root string) (environment.Environment, error) {
				return processes.Start(ctx, root, stack)
			}
		case "docker":
			start = containers.Start
		default:
			return nil, fmt.Errorf("TEST_WORLDS: no environment named %q; there are local and docker", name)
		}
		chosen = append(chosen, lazy{name, sync.OnceValues(func() (environment.Environment, error) {
			ctx, cancel := context.WithTimeout(context.Background(), starting)
			defer cancel()
			w, err := start(ctx, "..")
			if err == nil {
				startedMu.Lock()
				defer startedMu.Unlock()
				started = append(started, w)
			}
			return w, err
		})})
	}
	return chosen, nil
}

func closeAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, w := range started {
		if err := w.Close(ctx); err != nil {
			return fmt.Errorf("%s: %w", w.Name(), err)
		}
	}
	return nil
}

// bundle is what a scenario works with.
type bundle struct {
	*testing.T
	env    environment.Environment
	client *client.Client
}

// exclusive runs a scenario that breaks parts, alone in each chosen environment, and
// that leaves it as it was.
func exclusive(t *testing.T, scenario func(b *bundle)) {
	for _, l := range environments {
		t.Run(l.name, func(t *testing.T) { run(t, l, scenario) })
	}
}

// shared runs a scenario that only calls the services, in parallel with others of its
// kind, in each chosen environment.
func shared(t *testing.T, scenario func(b *bundle)) {
	t.Parallel()
	for _, l := range environments {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			run(t, l, scenario)
		})
	}
}

func run(t *testing.T, l lazy, scenario func(b *bundle)) {
	processes.Uncached()
	w, err := l.start()
	if err != nil {
		t.Fatalf("the %s environment does not start: %v", l.name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			dump(t, w)
		}
	})
	c := client.New(documented(t, &http.Transport{MaxIdleConnsPerHost: 16}), 15*time.Second)
	t.Cleanup(c.Close)
	scenario(&bundle{t, w, c})
}

// dump shows the end of what every service wrote, but for the lines of every
// single request.
func dump(t *testing.T, w environment.Environment) {
	const tail = 20
	for _, part := range environment.Services {
		text, err := w.Logs(context.Background(), part)
		if err != nil {
			t.Logf("logs of %s: %v", part, err)
			continue
		}
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool {
			return strings.Contains(line, `"level":"DEBUG"`)
		})
		t.Logf("%s:\n%s", part, strings.Join(lines[max(0, len(lines)-tail):], "\n"))
	}
}

// ownStack starts local processes for one test, in addition to the environments.
func ownStack(t *testing.T, env ...string) *driver.Stack {
	t.Helper()
	processes.Uncached()
	s, err := driver.Up(t.Context(), driver.Options{
		Root: "..", Command: os.Getenv("STACK_BIN"), Name: "own-" + randomHex(3),
		Env: append(env, "SERVICE_SECRET="+environment.Secret),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// must fails the test on an error.
func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// during kills a part, runs what happens meanwhile, and starts the part again.
func (b *bundle) during(part string, meanwhile func()) {
	b.Helper()
	b.must(b.env.Kill(b.Context(), part))
	up := false
	defer func() { // the next scenario needs it, even if this one fails
		if !up {
			b.must(b.env.Start(context.WithoutCancel(b.Context()), part))
		}
	}()
	meanwhile()
	b.must(b.env.Start(b.Context(), part))
	up = true
}
