package durability_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment/processes"
	"github.com/go-troika/troika/e2e/poll"
)

// A fault whose number is zero is left out.
var (
	users    = flag.Int("users", 100, "users to create at least while parts are killed, each renamed twice")
	kills    = flag.Int("kills", 8, "instances of producer and consumer, and Redis, to kill")
	freezes  = flag.Int("freezes", 0, "instances that are frozen for 6 to 8 s between the kills")
	crashes  = flag.Int("crashes", 1, "crashes of Postgres")
	frozen   = flag.Duration("frozen", 7*time.Second, "how long the leading relay is stopped; takeover needs 2 s")
	outage   = flag.Duration("outage", 3*time.Second, "how long Redis is down, with its data and without")
	wipes    = flag.Int("wipes", 2, "FLUSHALLs, and as many replacements of Redis by an empty one")
	drops    = flag.Int("drops", 50, "sessions of user-service that are ended")
	replicas = flag.Int("replicas", 2, "instances of each service")
	seed     = flag.Uint64("seed", 0, "chooses what is killed and when; 0 takes a random one")
)

const (
	writers = 8
	// settleTime is how long after the last fault everything may take to arrive. The
	// promise is 10 s; a busy machine gets more.
	settleTime = 30 * time.Second
)

// TestNothingIsLostWhateverIsKilled applies one kind of fault after another to the same
// system under writers, and compares after each.
func TestNothingIsLostWhateverIsKilled(t *testing.T) {
	processes.Uncached()
	if *seed == 0 {
		*seed = mathrand.Uint64()
	}
	t.Logf("%d writers, %d replicas of each service, seed %d", writers, *replicas, *seed)
	s, err := start(t.Context(), os.Getenv("STACK_BIN"), "lab-"+strings.ToLower(rand.Text()[:6]), *replicas)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: writers, IdleConnTimeout: 5 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	l := &lab{
		stack: s, rand: mathrand.New(mathrand.NewPCG(*seed, 0)),
		api:    &api{client.New(&http.Transport{DisableKeepAlives: true}, time.Second), s},
		steady: &api{client.New(transport, 5*time.Second), s},
		acked:  map[string]bool{}, log: newHistory(),
	}
	for _, e := range l.experiments() {
		if e.wanted && !t.Run(e.fault, func(t *testing.T) { l.run(t, e) }) {
			break
		}
	}
}

type lab struct {
	t       *testing.T // of the fault
	stack   *driver.Stack
	rand    *mathrand.Rand // chooses parts and times; used by one goroutine at a time
	api     *api           // opens a connection for each call, as instances are killed
	steady  *api           // keeps its connections, to measure
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
	apply  func(context.Context) (results string, err error)
}

func (l *lab) experiments() []experiment {
	return []experiment{
		{fmt.Sprintf("%d kills, %d freezes at random", *kills, *freezes), *kills > 0, l.killed},
		{fmt.Sprintf("Postgres crashed %d times", *crashes), *crashes > 0, l.crashed},
		{fmt.Sprintf("leading relay stopped for %v", *frozen), *frozen > 0, l.frozen},
		{fmt.Sprintf("Redis away for %v", *outage), *outage > 0, l.outageWithData},
		{fmt.Sprintf("Redis away for %v, then empty", *outage), *outage > 0, l.outageWithoutData},
		{fmt.Sprintf("FLUSHALL %d times", *wipes), *wipes > 0, l.flushed},
		{fmt.Sprintf("empty Redis in its place %d times", *wipes), *wipes > 0, l.replaced},
		{fmt.Sprintf("%d sessions ended", *drops), *drops > 0, l.dropped},
	}
}

func (l *lab) run(t *testing.T, e experiment) {
	l.t = t
	results, err := e.apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	took := time.Now()
	counts, err := l.settled(t.Context())
	t.Logf("%s; %s, counted in %v", results, counts, time.Since(took).Round(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
}

// settled waits until users, events and profiles agree.
func (l *lab) settled(ctx context.Context) (counts string, err error) {
	err = poll.Until(ctx, settleTime, func() (err error) {
		counts, err = l.compare(ctx)
		return err
	})
	return counts, err
}
