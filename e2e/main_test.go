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
	"github.com/go-troika/troika/e2e/world"
	"github.com/go-troika/troika/e2e/world/containers"
	"github.com/go-troika/troika/e2e/world/processes"
)

// starting covers the first build of all images on a slow machine.
const starting = 10 * time.Minute

// lazy is a world that starts when the first scenario asks for it.
type lazy struct {
	name  string
	start func() (world.World, error)
}

var worlds []lazy

func TestMain(m *testing.M) {
	var err error
	if worlds, err = choose(os.Getenv("TEST_WORLDS"), os.Getenv("STACK_BIN")); err != nil {
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
	started   []world.World
)

func choose(names, stack string) ([]lazy, error) {
	if names == "" {
		names = "local"
	}
	var chosen []lazy
	for name := range strings.SplitSeq(names, ",") {
		var start func(ctx context.Context, root string) (world.World, error)
		switch name {
		case "local":
			start = func(ctx context.Context, root string) (world.World, error) {
				return processes.Start(ctx, root, stack)
			}
		case "docker":
			start = containers.Start
		default:
			return nil, fmt.Errorf("TEST_WORLDS: no world named %q; there are local and docker", name)
		}
		chosen = append(chosen, lazy{name, sync.OnceValues(func() (world.World, error) {
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
	world  world.World
	client *client.Client
}

// harming runs a scenario that breaks parts, alone in each chosen world. It
// leaves the world as it found it.
func harming(t *testing.T, scenario func(b *bundle)) {
	for _, l := range worlds {
		t.Run(l.name, func(t *testing.T) { run(t, l, scenario) })
	}
}

// calling runs a scenario that only calls the services, beside others of its
// kind, in each chosen world.
func calling(t *testing.T, scenario func(b *bundle)) {
	t.Parallel()
	for _, l := range worlds {
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
		t.Fatalf("the %s world does not start: %v", l.name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			dump(t, w)
		}
	})
	c := client.New(&http.Transport{MaxIdleConnsPerHost: 16}, 15*time.Second)
	t.Cleanup(c.Close)
	scenario(&bundle{t, w, c})
}

// dump shows the end of what every service wrote, but for the lines of every
// single request.
func dump(t *testing.T, w world.World) {
	const tail = 20
	for _, part := range world.Services {
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

// must fails the test if harm or repair did not succeed.
func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// during kills a part, runs what happens meanwhile, and starts the part again.
func (b *bundle) during(part string, meanwhile func()) {
	b.Helper()
	b.must(b.world.Kill(b.Context(), part))
	up := false
	defer func() { // whatever meanwhile does to the test, the next one gets a whole world
		if !up {
			b.must(b.world.Start(context.WithoutCancel(b.Context()), part))
		}
	}()
	meanwhile()
	b.must(b.world.Start(b.Context(), part))
	up = true
}
