package durability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/poll"
)

// Config configures the faults. Stack, Name, Replicas and Writers are required; a fault
// that is zero is left out.
type Config struct {
	Stack    string // the stack command
	Name     string // of the stack that the lab runs
	Replicas int    // of each service
	Writers  int
	Seed     uint64

	Users   int           // to create at least while parts are killed, each renamed twice
	Kills   int           // of instances of the user and profile services, and of Redis
	Freezes int           // of instances, between the kills, for longer than it takes another to take over
	Crashes int           // of Postgres
	Frozen  time.Duration // how long the leading relay is stopped and its successor leads
	Outage  time.Duration // how long Redis is away, once with its data and once without
	Wipes   int           // FLUSHALLs, and as many replacements by an empty Redis
	Drops   int           // sessions of user-service that Postgres ends
}

// Settle is how long after the last fault everything may take to arrive. The promise is
// 10 s; a busy machine gets more.
const Settle = 30 * time.Second

// Run starts a system, applies one kind of fault after another under writers, compares
// after each, and stops it. It writes to out what it does, and at the end what held. The
// error is what did not.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	s, err := start(ctx, cfg.Stack, cfg.Name, cfg.Replicas)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: cfg.Writers, IdleConnTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	l := &lab{
		cfg: cfg, out: out, stack: s, rand: rand.New(rand.NewPCG(cfg.Seed, 0)),
		api:    &api{client.New(&http.Transport{DisableKeepAlives: true}, time.Second), s},
		steady: &api{client.New(transport, 5*time.Second), s},
		acked:  map[string]bool{}, log: newHistory(),
	}
	return errors.Join(l.run(ctx), s.Down())
}

type lab struct {
	cfg     Config
	out     io.Writer
	stack   *driver.Stack
	rand    *rand.Rand // chooses parts and times; used by one goroutine at a time
	api     *api       // opens a connection for each call, as instances are killed
	steady  *api       // keeps its connections, to measure
	written atomic.Int64
	unknown atomic.Int64    // outcomes, until they were repeated
	users   int             // whose creation was requested
	acked   map[string]bool // ids whose creation was acknowledged
	log     *history
}

// experiment applies one kind of fault and returns what was measured.
type experiment struct {
	fault  string
	wanted bool
	run    func(context.Context) (results string, err error)
}

func (l *lab) experiments() []experiment {
	c := l.cfg
	return []experiment{
		{fmt.Sprintf("%d kills, %d freezes at random", c.Kills, c.Freezes), c.Kills > 0, l.killed},
		{fmt.Sprintf("Postgres crashed %d times", c.Crashes), c.Crashes > 0, l.crashed},
		{fmt.Sprintf("leading relay stopped for %v", c.Frozen), c.Frozen > 0, l.frozen},
		{fmt.Sprintf("Redis away for %v", c.Outage), c.Outage > 0, l.outageWithData},
		{fmt.Sprintf("Redis away for %v, then empty", c.Outage), c.Outage > 0, l.outageWithoutData},
		{fmt.Sprintf("FLUSHALL %d times", c.Wipes), c.Wipes > 0, l.flushed},
		{fmt.Sprintf("empty Redis in its place %d times", c.Wipes), c.Wipes > 0, l.replaced},
		{fmt.Sprintf("%d sessions ended", c.Drops), c.Drops > 0, l.dropped},
	}
}

func (l *lab) run(ctx context.Context) error {
	fmt.Fprintf(l.out, "%d writers, %d replicas of each service, seed %d\n", l.cfg.Writers, l.cfg.Replicas, l.cfg.Seed)
	rows := [][3]string{{"FAULT", "HELD", "RESULTS"}}
	var failed error
	for _, e := range l.experiments() {
		if !e.wanted {
			continue
		}
		fmt.Fprintf(l.out, "== %s\n", e.fault)
		results, err := e.run(ctx)
		took := time.Now()
		var counts string
		if err == nil {
			counts, err = l.settled(ctx)
		}
		held := "everything once, in order"
		if err != nil {
			held, failed = "NO: "+err.Error(), fmt.Errorf("%s: %w", e.fault, err)
		}
		rows = append(rows, [3]string{e.fault, held, results})
		fmt.Fprintf(l.out, "%s; %s, counted in %v\n", results, counts, time.Since(took).Round(time.Millisecond))
		if failed != nil {
			break
		}
	}
	return errors.Join(failed, l.print(rows))
}

func (l *lab) print(rows [][3]string) error {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r[0], r[1], r[2])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := l.out.Write(append([]byte("\n"), text.Bytes()...))
	return err
}

// settled waits until users, events and profiles agree.
func (l *lab) settled(ctx context.Context) (counts string, err error) {
	err = poll.Until(ctx, Settle, func() (err error) {
		counts, err = l.compare(ctx)
		return err
	})
	return counts, err
}
