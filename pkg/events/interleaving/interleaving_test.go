package interleaving

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

var switches = flag.Int("switches", 1, "how often at most the turn changes between two sides while both can go on")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	producer = "ledger"
	name     = "mirror" // of the consumer
)

type entry struct {
	Account string `json:"account"`
	N       int    `json:"n"`
}

var (
	account = func(e entry) string { return e.Account }
	made    = events.NewType(producer, "entry.made", 1, account)
	closed  = events.NewType(producer, "account.closed", 1, account).Erasing()
)

// instance is one of the consumer, whose steps the test takes. They are, in the
// order in which a consumer begins them: retry, tidy, ask, beat, and a reader if it
// owns the part.
type instance struct {
	*side
	steps []func(context.Context) time.Duration
	stop  func()
}

const (
	retry = iota
	_
	ask
	beat
	read
)

func (i *instance) do(step int) { i.steps[step](context.Background()) }

// consumerOf has two instances and a person on one database, and a producer's log.
type consumerOf struct {
	t         *testing.T
	db        *database.DB // not gated
	log       *history
	instances [2]*instance
	person    *side
	now       atomic.Int64 // added to the instances' time
	cured     atomic.Bool  // handlers do not fail any more
	runs      int
}

func setup(t *testing.T) *consumerOf {
	t.Helper()
	c := &consumerOf{t: t, db: testkit.Postgres(t, name, nil), log: &history{}}
	c.exec(`CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, account text, n int)`)
	c.exec(`ALTER DATABASE ` + c.db.Name() + ` SET deadlock_timeout = '20ms'`)
	for n := range c.instances {
		i := &instance{side: newSide(t, c.db.Name())}
		began := time.Now()
		store := postgres.NewConsumer(i.db, name)
		subscriptions := events.NewSubscriptions()
		events.On(subscriptions, made, c.handle)
		events.On(subscriptions, closed, c.handle)
		if err := store.Declare(t.Context(), subscriptions); err != nil {
			t.Fatal(err)
		}
		deps := testkit.EventDeps(t)
		deps.Log = slog.New(slog.DiscardHandler)
		i.stop = consumer.New(consumer.Options{
			Instance: int64(n + 1), DB: store, Streams: c.log, Source: c.log, Subscriptions: subscriptions,
			Config: events.Config{Retries: 1}, Deps: deps,
			Now: func() time.Duration { return time.Since(began) + time.Duration(c.now.Load()) },
			Spawn: func(_ <-chan struct{}, step func(context.Context) time.Duration) func() {
				i.steps = append(i.steps, step)
				at := len(i.steps) - 1
				return func() { i.steps = i.steps[:at] }
			},
		}).Start()
		t.Cleanup(i.stop)
		c.instances[n] = i
	}
	c.person = newSide(t, c.db.Name())
	return c
}

func (c *consumerOf) exec(query string, args ...any) {
	c.t.Helper()
	if err := c.db.Gorm.Exec(query, args...).Error; err != nil {
		c.t.Fatal(err)
	}
}

func (c *consumerOf) count(query string, args ...any) (n int) {
	c.t.Helper()
	if err := c.db.Gorm.Raw(query, args...).Scan(&n).Error; err != nil {
		c.t.Fatal(err)
	}
	return n
}

// handle fails for the first event of an account until it is cured.
func (c *consumerOf) handle(_ context.Context, tx *gorm.DB, e entry) error {
	if e.N == 1 && !c.cured.Load() {
		return errors.New("not now")
	}
	return tx.Exec(`INSERT INTO effects (account, n) VALUES (?, ?)`, e.Account, e.N).Error
}

// reader is the instance that owns the part, other the one that does not.
func (c *consumerOf) reader() (reader, other *instance) {
	for {
		for _, i := range c.instances {
			i.do(ask)
			i.do(beat)
		}
		for n, i := range c.instances {
			if len(i.steps) > read {
				return i, c.instances[1-n]
			}
		}
	}
}

// finish has everything done that is left to do: no handler fails any more, and
// all that waits is due.
func (c *consumerOf) finish(key string) {
	c.cured.Store(true)
	for range 50 {
		c.now.Add(int64(2 * time.Second))
		c.exec(`UPDATE event_keys SET next_at = clock_timestamp()`)
		reader, other := c.reader()
		reader.do(read)
		reader.do(retry)
		other.do(retry)
		left := c.count(`SELECT (SELECT count(*) FROM event_keys) + (SELECT count(*) FROM event_parked)`)
		if at := c.count(`SELECT pos FROM event_offsets`); left == 0 && int64(at) == c.log.head().Pos {
			return
		}
	}
	var rows []string
	c.db.Gorm.Raw(`SELECT k::text FROM event_keys k UNION ALL SELECT p::text FROM event_parked p UNION ALL SELECT o::text FROM event_offsets o`).Scan(&rows)
	c.t.Fatalf("%s is never finished: head %d, %q", key, c.log.head().Pos, rows)
}

// scene is a moment: the first event of a key is parked and due, and a second one
// has come.
type scene struct {
	*consumerOf
	key           string
	first, second events.Record
	reader, other *instance
	discarded     bool
	replayed      bool
}

// act is what one side does; the field names the side.
type act struct {
	by func(*scene) *side
	do func(*scene) error
}

var acts = map[string]act{
	"batch":  {func(s *scene) *side { return s.reader.side }, func(s *scene) error { s.reader.do(read); return nil }},
	"retry":  {func(s *scene) *side { return s.other.side }, func(s *scene) error { s.other.do(retry); return nil }},
	"retry2": {func(s *scene) *side { return s.reader.side }, func(s *scene) error { s.reader.do(retry); return nil }},
	"redrive": {func(s *scene) *side { return s.person }, func(s *scene) error {
		_, err := s.operator().Redrive(s.t.Context(), admin.Selection{All: true})
		return err
	}},
	"discard": {func(s *scene) *side { return s.person }, func(s *scene) error {
		n, err := s.operator().Discard(s.t.Context(), admin.Selection{ID: &s.first.ID}, "given up")
		if s.discarded = n == 1; errors.Is(err, admin.ErrNotParked) {
			return nil
		}
		return err
	}},
	"replay": {func(s *scene) *side { return s.person }, func(s *scene) error {
		one, from := int64(part), s.first.Pos-1
		_, err := s.operator().Replay(s.t.Context(), admin.Replay{Service: producer, Partition: &one, Position: &from})
		s.replayed = err == nil
		return err
	}},
}

func (s *scene) operator() *admin.Operator {
	return &admin.Operator{DB: s.person.db, Name: name, Source: s.log, Sources: []string{producer}, Log: slog.New(slog.DiscardHandler)}
}

// play sets the scene, has both sides act in the order given, and finishes. It
// returns the number of statements.
func (c *consumerOf) play(second string, cured bool, sides [2]string, first int, order []int) int {
	c.runs++
	s := &scene{consumerOf: c, key: fmt.Sprint("account-", c.runs)}
	c.cured.Store(false)
	s.reader, s.other = c.reader()
	c.log.add(made.Name(), "fine", 2) // else it waits, since one key after the other fails
	s.reader.do(read)
	s.first = c.log.add(made.Name(), s.key, 1)
	s.reader.do(read)
	if n := c.count(`SELECT count(*) FROM event_parked`); n != 1 {
		c.t.Fatalf("%d events are parked, want 1", n)
	}
	c.exec(`UPDATE event_keys SET next_at = clock_timestamp()`)
	for _, i := range c.instances {
		i.do(ask)
		i.do(beat)
	}
	s.second = c.log.add(second, s.key, 2)
	c.cured.Store(cured)
	r := race{t: c.t, locked: func() int {
		return c.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	}}
	var work [2]func() error
	for i, name := range sides {
		a := acts[name]
		r.sides[i] = a.by(s)
		work[i] = func() error { return a.do(s) }
	}
	n := r.run(work, first, order)
	c.finish(s.key)
	var got []int
	if err := c.db.Gorm.Raw(`SELECT n FROM effects WHERE account = ? ORDER BY id`, s.key).Scan(&got).Error; err != nil {
		c.t.Fatal(err)
	}
	if !s.allows(got, second == closed.Name()) {
		c.t.Errorf("%v, %v first, switches after %v: effects %v (discarded %v, replayed %v)", sides, sides[first], order, got, s.discarded, s.replayed)
	}
	return n
}

// allows reports whether a key's effects are what the acts may lead to.
func (s *scene) allows(got []int, superseded bool) bool {
	whole, begun := [][]int{{1, 2}}, [][]int{{}, {1}, {1, 2}} // begun: before the replay
	if s.discarded {
		whole = [][]int{{2}}
	}
	if superseded {
		whole, begun = append(whole, []int{2}), append(begun, []int{2})
	}
	if !s.replayed {
		begun = begun[:1]
	}
	for _, before := range begun {
		for _, after := range whole {
			if slices.Equal(got, slices.Concat(before, after)) {
				return true
			}
		}
	}
	return false
}

// Whatever comes between whichever statements, each event takes effect once and in
// its order, and nothing is left behind.
func TestParkedEventsInEveryOrder(t *testing.T) {
	for _, test := range []struct {
		sides  [2]string
		second events.TypeName
		cured  bool
	}{
		{[2]string{"batch", "retry"}, madeName, true},
		{[2]string{"batch", "retry"}, madeName, false},
		{[2]string{"batch", "retry"}, closedName, true},
		{[2]string{"batch", "retry"}, closedName, false},
		{[2]string{"batch", "discard"}, madeName, false},
		{[2]string{"batch", "discard"}, closedName, false},
		{[2]string{"batch", "redrive"}, madeName, false},
		{[2]string{"batch", "replay"}, madeName, false},
		{[2]string{"batch", "replay"}, closedName, true},
		{[2]string{"retry2", "retry"}, madeName, true},
		{[2]string{"retry", "discard"}, madeName, true},
		{[2]string{"retry", "discard"}, madeName, false},
		{[2]string{"retry", "redrive"}, madeName, false},
		{[2]string{"retry", "replay"}, madeName, true},
		{[2]string{"retry", "replay"}, madeName, false},
	} {
		t.Run(fmt.Sprintf("%s beside %s, %s, cured %v", test.sides[0], test.sides[1], test.second.Event, test.cured), func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			orders(*switches, func(first int, order []int) int {
				n := c.play(test.second.Event, test.cured, test.sides, first, order)
				if t.Failed() {
					t.FailNow()
				}
				return n
			})
			t.Logf("%d orders", c.runs)
		})
	}
}

var (
	madeName   = events.TypeName{Source: producer, Event: made.Name()}
	closedName = events.TypeName{Source: producer, Event: closed.Name()}
)
