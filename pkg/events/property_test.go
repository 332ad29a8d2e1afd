package events_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

var (
	seed  = flag.Uint64("events.seed", 0, "seed of TestRandomFaults, printed by a failing run; 0 takes a new one")
	steps = flag.Int("events.steps", 40, "faults that TestRandomFaults does")
)

// TestRandomFaults does random harm to relays, consumers and Redis between
// publications, and then wants every event's effect once, in order.
func TestRandomFaults(t *testing.T) {
	m := newMachine(setup(t))
	for range *steps {
		name, fault := m.choose()
		t.Log(name)
		fault()
		m.publish()
	}
	m.calm()
	for key, n := range m.published {
		m.expect(key, n)
	}
	if dead := scan[int](m.bus, m.to, `SELECT count(*) FROM event_parked WHERE envelope LIKE '%deposit%'`); dead != 0 {
		t.Errorf("%d events are parked", dead)
	}
}

// machine is a bus with what was done to it.
type machine struct {
	*bus
	random    *rand.Rand
	relays    []func() // their stops
	consumers []func()
	published map[string]int // last n by key
	snapshot  map[string]string
	other     *database.DB // whose sessions are never cut
}

func newMachine(b *bus) *machine {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	b.t.Logf("go test ./events -run %s -events.seed %d -events.steps %d", b.t.Name(), s, *steps)
	m := &machine{bus: b, random: rand.New(rand.NewPCG(s, 0)), published: map[string]int{}, snapshot: map[string]string{},
		other: testkit.Postgres(b.t, "observer", nil)}
	m.calm()
	return m
}

func (m *machine) choose() (string, func()) {
	faults := []struct {
		name string
		do   func()
	}{
		{"start a relay", func() { m.relays = append(m.relays, m.relay()) }},
		{"stop a relay", func() { m.stopOne(&m.relays) }},
		{"start a consumer", func() { m.consumers = append(m.consumers, m.consume(record)) }},
		{"stop a consumer", func() { m.stopOne(&m.consumers) }},
		{"cut the publisher's sessions", func() { m.cut(m.from.Name()) }},
		{"cut the subscriber's sessions", func() { m.cut(m.to.Name()) }},
		{"empty Redis", func() { m.must(m.redis.FlushDB(m.t.Context()).Err()) }},
		{"remember a stream", m.remember},
		{"set a stream back", m.setBack},
		{"delete entries", m.deleteEntries},
		{"delete a group", func() { m.redis.XGroupDestroy(m.t.Context(), m.stream(), subscriber) }},
		{"write a stranger's entry", m.intrude},
	}
	f := faults[m.random.IntN(len(faults))]
	return f.name, f.do
}

// publish commits a few events of some keys.
func (m *machine) publish() {
	for range 1 + m.random.IntN(3) {
		key := fmt.Sprint("key-", m.random.IntN(6))
		n := m.published[key]
		m.bus.publish(key, n+1, n+1+m.random.IntN(5))
		m.published[key] = m.count(key)
	}
}

// count gives the last n of a key that was published.
func (m *machine) count(key string) int {
	return scan[int](m.bus, m.from, `
SELECT count(*) FROM (SELECT key FROM event_outbox UNION ALL SELECT key FROM event_log) e WHERE key = ?`, key)
}

// calm leaves a relay and a consumer running.
func (m *machine) calm() {
	if len(m.relays) == 0 {
		m.relays = append(m.relays, m.relay())
	}
	if len(m.consumers) == 0 {
		m.consumers = append(m.consumers, m.consume(record))
	}
}

func (m *machine) stopOne(stops *[]func()) {
	if n := len(*stops); n > 0 {
		(*stops)[n-1]()
		*stops = (*stops)[:n-1]
	}
}

// cut ends the sessions that hold locks: those of relays or consumers.
func (m *machine) cut(database string) {
	m.exec(m.other, `
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = ?)`, database)
}

// stream picks one.
func (m *machine) stream() string {
	return events.StreamName(publisher, m.random.IntN(events.DefaultConfig().Partitions))
}

func (m *machine) remember() {
	stream := m.stream()
	dump, err := m.redis.Dump(m.t.Context(), stream).Result()
	if err == nil {
		m.snapshot[stream] = dump
	}
}

// setBack gives a stream an earlier state, as a failover to a lagging replica.
func (m *machine) setBack() {
	for stream, dump := range m.snapshot {
		m.must(m.redis.RestoreReplace(m.t.Context(), stream, 0, dump).Err())
		delete(m.snapshot, stream)
		return
	}
}

func (m *machine) deleteEntries() {
	stream := m.stream()
	entries, err := m.redis.XRangeN(m.t.Context(), stream, "-", "+", 3).Result()
	m.must(err)
	for _, e := range entries {
		m.must(m.redis.XDel(m.t.Context(), stream, e.ID).Err())
	}
}

func (m *machine) intrude() {
	m.must(m.redis.XAdd(m.t.Context(), &redis.XAddArgs{Stream: m.stream(), Values: []string{"hello", "world"}}).Err())
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}
