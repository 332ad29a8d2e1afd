package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/relay"
)

// system is one history.
type system struct {
	scheduler
	producer producer
	consumer consumerServer
	redis    streams
	http     server // the producer's, as consumers reach it

	relays, consumers []*process
	self              *process
	wakers            map[*process]waker
	stops             map[*process]func()
	older             []*process // consumers of an older release
	instances         int64      // counts them

	events   []event
	trimmed  map[int32]bool // deleted by retention, whether read or not
	forgiven map[int32]bool // deleted from the inbox when no log that is likely to come back has it
	stayed   map[int32]bool // applied, not on the history when others were replayed
	erased   map[int32]bool // published before an event that ended the key
	old      *producerState // a former primary that still answers
	oldUntil time.Duration
	pages    int

	faulty bool
	odds   odds
	poison map[int32]poison
	outage time.Duration // all handlers fail until then
	trace  *strings.Builder
}

// odds are of what happens at an effect, in a thousand.
type odds struct{ crash, freeze, fail, again, yield int }

// server is what is reached over a network, and has a clock.
type server struct {
	away  time.Duration // until then
	ahead time.Duration
}

// event is what was published, or forged.
type event struct {
	key      int
	name     string
	envelope string
}

// handled reports whether the consumer handles events of e's type.
func (e event) handled() bool { return e.name != "ignored" }

func (e event) personal() bool { return e.name == private.Name() }

// poison is an event whose handler fails.
type poison struct{ permanent bool }

type waker struct{ move, appended chan struct{} }

const partCap = 8 // entries that a stream holds

type payload struct {
	Number int32 `json:"n"`
	Key    int   `json:"k"`
}

var (
	made    = newType("made")
	private = newType("private").Personal()
	sent    = newType("sent")            // of a newer release
	ended   = newType("ended").Erasing() // of a newer release, too

	newest, olderOnes *events.Subscriptions
)

func init() {
	newest, olderOnes = subscriptions(made, private, sent, ended), subscriptions(made, private)
}

func newType(name string) events.Type[payload] {
	return events.NewType(source, name, 1, func(p payload) string { return keyName(p.Key) })
}

func subscriptions(types ...events.Type[payload]) *events.Subscriptions {
	s := events.NewSubscriptions()
	for _, t := range types {
		events.On(s, t, func(ctx context.Context, _ *gorm.DB, p payload) error {
			return ctx.Value(transactionKey{}).(*transaction).apply(p.Number)
		})
	}
	return s
}

func keyName(key int) string { return string(rune('a' + key)) }

// apply is what the consumer's handlers do.
func (t *transaction) apply(n int32) error {
	if err := t.statement(); err != nil {
		return err
	}
	bad, ok := t.poison[n]
	switch {
	case ok && bad.permanent:
		return events.Permanent(errors.New("poison"))
	case ok, t.now < t.outage:
		return errors.New("handler fails")
	}
	t.state.applied = append(t.state.applied, n)
	return nil
}

// anyType returns the name of a type of events.
func (w *system) anyType() string {
	switch w.random.IntN(16) {
	case 0:
		return "ignored"
	case 1, 2:
		return sent.Name()
	case 3, 4, 5:
		return private.Name()
	}
	return made.Name()
}

// event returns the number of a new one.
func (w *system) event(key int, name string) int32 {
	n := int32(len(w.events))
	w.events = append(w.events, event{key, name, fmt.Sprintf(
		`{"event":%q,"data":{"n":%d,"k":%d},"timestamp":"2026-01-01T00:00:00Z","service":%q,"id":%q,"key":%q,"version":1,"erases":%t}`,
		name, n, key, source, idOf(n), keyName(key), name == ended.Name())})
	return n
}

func idOf(n int32) uuid.UUID {
	return uuid.UUID{6: 0x70, 8: 0x80, 14: byte(n >> 8), 15: byte(n)}
}

func (e event) record(row logRow) events.Record {
	r := events.Record{Position: row.Position, Prev: row.prev, ID: idOf(row.event), Key: keyName(e.key), Envelope: e.envelope}
	if row.redacted {
		r.Envelope = r.Redact()
	}
	r.Personal = e.personal() && !row.redacted
	return r
}

var (
	errAway  = errors.New("connection lost")
	errAgain = &pgconn.PgError{Code: "40001", Message: "could not serialize access"}
)

// effect comes before and after everything that others can see. There a process may
// crash, freeze, or hear nothing but an error.
func (w *system) effect(p *process, s *server) error {
	if p.dead {
		panic(crashed{})
	}
	r := w.random.IntN(1000)
	if w.faulty {
		switch {
		case r < w.odds.crash:
			w.kill(p)
			panic(crashed{})
		case r < w.odds.crash+w.odds.freeze:
			p.frozen = w.now + time.Duration(w.random.Int64N(int64(4*time.Second)))
			w.note("process freezes until %v", p.frozen)
			w.sleep(p, 0)
		}
	}
	if r%1000 >= 1000-w.odds.yield {
		w.sleep(p, time.Duration(w.random.Int64N(int64(3*time.Millisecond))))
	}
	if w.now < s.away || w.faulty && w.random.IntN(1000) < w.odds.fail {
		return errAway
	}
	if w.faulty && s == &w.consumer.server && w.random.IntN(1000) < w.odds.again {
		return errAgain
	}
	return nil
}

// exchange is an effect on a server: f is done or not, and its answer arrives or
// not.
func (w *system) exchange(p *process, s *server, f func()) error {
	if err := w.effect(p, s); err != nil {
		return err
	}
	f()
	return w.effect(p, s)
}

func (w *system) clock(s *server) time.Duration { return w.now + s.ahead }

func (w *system) note(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%9.3fs ", w.now.Seconds())
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// log is what relays and consumers log to.
func (w *system) log() *slog.Logger {
	if w.trace == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(tracer{w}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "stack" { // which names goroutines
			return slog.Attr{}
		}
		return a
	}}))
}

type tracer struct{ w *system }

func (t tracer) Write(p []byte) (int, error) {
	t.w.note("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// newWorld returns a system that has just been started.
func newWorld(seed uint64, trace *strings.Builder) *system {
	w := &system{
		scheduler: scheduler{random: rand.New(rand.NewPCG(seed, seed))}, self: &process{}, trace: trace,
		wakers: map[*process]waker{}, stops: map[*process]func(){}, trimmed: map[int32]bool{}, forgiven: map[int32]bool{}, stayed: map[int32]bool{}, erased: map[int32]bool{}, poison: map[int32]poison{},
		redis: streams{byPart: map[int64]*stream{}},
	}
	w.producer.state = w.newLayout(producerState{until: -1 << 62}, 1+w.random.Int64N(3))
	w.producer.commit(w.producer.state)
	w.odds.yield = []int{20, 100, 500}[w.random.IntN(3)]
	w.relays, w.consumers = make([]*process, 2), make([]*process, 2)
	for i := range 2 {
		w.startRelay(i)
		w.startConsumer(i)
	}
	return w
}

func (w *system) startRelay(i int) {
	p := &process{}
	w.relays[i] = p
	w.instances++
	r := relay.New(relay.Options{
		DB: relayDB{w, p}, Streams: relayStreams{w, p}, Instance: w.instances, Now: func() time.Duration { return w.now },
		Config: events.Config{StreamCap: partCap, LogDays: 7}, Deps: events.Deps{Log: w.log()},
	})
	wakes := waker{make(chan struct{}, 1), make(chan struct{}, 1)}
	w.wakers[p] = wakes
	w.spawn(p, wakes.move, r.MoveStep)
	w.spawn(p, wakes.appended, r.AppendStep)
	w.spawn(p, nil, r.HousekeepStep)
}

// poke wakes processes: there is something in the outbox.
func (w *system) poke(relays []*process) {
	for _, p := range relays {
		poke(w.wakers[p].move)
	}
	for _, t := range w.tasks {
		if len(t.wake) > 0 && !t.busy {
			t.at = min(t.at, w.now)
		}
	}
}

func (w *system) wakeAppender(p *process) { poke(w.wakers[p].appended) }

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *system) startConsumer(i int) {
	p := &process{}
	w.consumers[i] = p
	w.instances++
	known := newest
	if w.faulty && w.random.IntN(4) == 0 {
		known = olderOnes
		w.older = append(w.older, p)
	}
	c := consumer.New(consumer.Options{
		Instance: w.instances, DB: consumerDB{w, p}, Streams: consumerStreams{w, p}, Source: logSource{w, p},
		Subscriptions: known, Config: events.Config{Retries: 2}, Deps: events.Deps{Log: w.log()},
		Now: func() time.Duration { return w.now },
		Spawn: func(wake <-chan struct{}, step func(context.Context) time.Duration) func() {
			return w.spawn(p, wake, step)
		},
	})
	w.stops[p] = c.Start()
}

// stopConsumer stops an instance in order; another comes in its place.
func (w *system) stopConsumer(i int) {
	p := w.consumers[i]
	stop := w.stops[p]
	if stop == nil {
		return // it is at it
	}
	delete(w.stops, p)
	w.note("consumer stops")
	w.spawn(p, nil, func(context.Context) time.Duration {
		stop()
		w.kill(p)
		panic(crashed{})
	})
}

// kill crashes a process; another comes in its place.
func (w *system) kill(p *process) {
	if p.dead {
		return
	}
	p.dead = true
	w.note("process crashes")
	w.after(w.self, time.Duration(w.random.Int64N(int64(2*time.Second))), w.restart)
}

// restart starts a process for each that is dead.
func (w *system) restart() {
	for i, p := range w.relays {
		if p.dead {
			w.startRelay(i)
		}
	}
	for i, p := range w.consumers {
		if p.dead {
			w.startConsumer(i)
		}
	}
}

// forgot notes that the inbox has lost an event.
func (w *system) forgot(n int32, part, pos int64) {
	for _, p := range w.producer.state.parts {
		if p.Number == part && pos < p.Base.Pos-p.Len() {
			w.forgiven[n] = true
		}
	}
}
