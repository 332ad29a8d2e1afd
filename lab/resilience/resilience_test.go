package resilience_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/environment/processes"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/report"
	"github.com/go-troika/troika/lab/resilience"
	"github.com/go-troika/troika/pkg/serviceclient"
)

var (
	long   = flag.Bool("long", false, "let faults last longer, restart 12 times, and fail on every target that is missed")
	lasts  = flag.Duration("lasts", 0, "how long a fault lasts; 0.8 s, or 10 s with -long")
	rounds = flag.Int("rounds", 0, "rolling restarts; 1, or 12 with -long")
	write  = flag.String("write", "", "page into which the table is written, if all tests ran")
)

// callers of each kind: that many look up users, and as many place orders.
const callers = 16

// Pauses between two calls of one caller.
const (
	lookUpPace = 50 * time.Millisecond
	orderPace  = 80 * time.Millisecond
)

// settling covers the registry's refresh and a health check, on a busy machine.
const settling = 20 * time.Second

var (
	opened sync.Once
	stack  *resilience.Stack
	failed error
	rows   []*resilience.Row
)

func TestMain(m *testing.M) {
	flag.Parse()
	resilience.Quiet()
	if *lasts == 0 {
		*lasts = pick(800*time.Millisecond, 10*time.Second)
	}
	if *rounds == 0 {
		*rounds = pick(1, 12)
	}
	before := report.LoadAverage()
	code := m.Run()
	if err := end(before); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// end stops the stack and reports; before is the load average that the tests met.
func end(before string) error {
	var err error
	if stack != nil {
		err = stack.Close()
	}
	fmt.Println(resilience.Summary(rows))
	if *write != "" && flag.Lookup("test.run").Value.String() == "" {
		text := fmt.Sprintf("%s. Taken on %s, each fault for %v, on %d processors, "+
			"load average %s before and %s after.\n\n%s",
			resilience.Summary(rows), time.Now().UTC().Format(time.DateOnly), *lasts, runtime.NumCPU(),
			before, report.LoadAverage(), resilience.Table(rows))
		err = errors.Join(err, report.Write(*write, "chaos", text))
	}
	return err
}

func pick[T any](short, full T) T {
	if *long {
		return full
	}
	return short
}

// bundle holds what a test needs: the whole system, a new caller, and a user who orders.
type bundle struct {
	*testing.T
	row    *resilience.Row
	stack  *resilience.Stack
	caller *resilience.Caller
	client *client.Client
	user   contracts.User
}

// begin prepares the test of one fault on the whole system.
func begin(t *testing.T, fault string) *bundle {
	t.Helper()
	return beginWith(t, fault, 3)
}

// beginWith is begin where so many instances of user-service are to run.
func beginWith(t *testing.T, fault string, users int) *bundle {
	t.Helper()
	b := &bundle{T: t, row: &resilience.Row{Fault: fault, Test: t.Name(), Source: source()}}
	rows = append(rows, b.row)
	began := time.Now()
	t.Cleanup(func() { conclude(t, b.row, time.Since(began)) })
	b.stack = running(t)
	if users == 3 {
		b.must(b.stack.Restore(t.Context()))
	}
	b.fresh(users)
	b.client = client.New(&http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second}, 15*time.Second)
	t.Cleanup(b.client.Close)
	var err error
	b.user, err = b.caller.Register(t.Context())
	b.must(err)
	return b
}

// source is the file of the test that calls.
func source() string {
	for skip := 1; ; skip++ {
		_, file, _, ok := runtime.Caller(skip)
		if name := filepath.Base(file); name != "resilience_test.go" || !ok {
			return name
		}
	}
}

func conclude(t *testing.T, row *resilience.Row, took time.Duration) {
	fmt.Printf("%s  in %s\n", row, resilience.Short(took))
	for _, broken := range row.Broken() {
		t.Error(broken)
	}
	if *long && !row.Held() {
		t.Error("a target was missed")
	}
}

// end marks the row as complete.
func (b *bundle) end() { b.row.Ended = true }

// fresh makes a new caller, which sees all there is.
func (b *bundle) fresh(users int) {
	b.Helper()
	var err error
	b.caller, err = b.stack.NewCaller()
	b.must(err)
	b.Cleanup(func() {
		if err := b.caller.Close(); err != nil {
			b.Error(err)
		}
	})
	b.sees(users)
}

// sees waits until the caller knows all there is.
func (b *bundle) sees(users int) {
	b.Helper()
	b.must(poll.Until(b.Context(), settling, func() error {
		return errors.Join(b.caller.Sees(environment.User, users), b.caller.Sees(environment.Order, 2),
			b.caller.Sees(environment.Profile, 2))
	}))
}

func running(t *testing.T) *resilience.Stack {
	t.Helper()
	processes.Uncached()
	opened.Do(func() {
		stack, failed = resilience.Open(context.Background(), os.Getenv("STACK_BIN"),
			"calls-"+strings.ToLower(rand.Text()[:6]))
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return stack
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) do(verb, part string) {
	b.Helper()
	b.must(b.stack.Do(b.Context(), verb, part))
}

// hold waits for as long as a fault lasts.
func (b *bundle) hold() { _ = poll.Sleep(b.Context(), *lasts) }

// loads are callers that look up the user, and callers that place orders.
type loads struct{ lookUps, orders *resilience.Load }

// load starts both kinds. Orders are placed with one attempt each.
func (b *bundle) load() loads { return b.loadBy(b.caller.Once) }

func (b *bundle) loadBy(orders *serviceclient.Client) loads {
	return loads{
		resilience.Begin(b.Context(), callers, lookUpPace,
			func(ctx context.Context) error { return b.caller.LookUp(ctx, b.user.ID) }),
		resilience.Begin(b.Context(), callers, orderPace,
			func(ctx context.Context) error { return resilience.Place(ctx, orders, b.user.ID) }),
	}
}

// unload ends both, of which none may have failed.
func (b *bundle) unload(l loads) {
	b.row.Count("lookups", l.lookUps.End())
	b.row.Count("orders", l.orders.End())
}
