package events_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/redis/go-redis/v9"
)

var (
	seed  = flag.Uint64("events.seed", 0, "seed of TestRandomFaults, printed by a failing run; 0 takes a new one")
	steps = flag.Int("events.steps", 40, "faults that TestRandomFaults does")
)

// TestRandomFaults injects random faults into relays, consumers, databases and Redis
// between publications, and then wants every event's effect once, in order.
func TestRandomFaults(t *testing.T) {
	m := newMachine(setup(t))
	for range *steps {
		faults := m.faults()
		f := faults[m.random.IntN(len(faults))]
		t.Log(f.name)
		f.do()
		m.publish()
	}
	m.calm()
	for key, n := range m.published {
		m.expect(key, n)
	}
	m.parked("", 0)
}

// machine is a bus with what was done to it.
type machine struct {
	*bus
	random    *rand.Rand
	relays    []func() // their stops
	consumers []func()
	published map[string]int // last n by key
	dumps     map[string]string
}

func newMachine(b *bus) *machine {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	b.t.Logf("go test ./events -run %s -events.seed %d -events.steps %d", b.t.Name(), s, *steps)
	m := &machine{bus: b, random: rand.New(rand.NewPCG(s, 0)), published: map[string]int{}, dumps: map[string]string{}}
	m.calm()
	return m
}

type fault struct {
	name string
	do   func()
}

func (m *machine) faults() []fault {
	return []fault{
		{"start a relay", func() { m.relays = append(m.relays, m.relay()) }},
		{"stop a relay", func() { stopOne(&m.relays) }},
		{"start a consumer", func() { m.consumers = append(m.consumers, m.consume(record)) }},
		{"stop a consumer", func() { stopOne(&m.consumers) }},
		{"empty Redis", func() { m.must(m.redis.FlushDB(m.t.Context()).Err()) }},
		{"change the number of partitions", func() { m.repartition(1 + m.random.IntN(8)) }},
		{"take the leases away", func() {
			m.exec(m.from, `UPDATE event_source SET relay = 0, relay_until = '-infinity'`)
			m.exec(m.to, `DELETE FROM event_instances`)
			m.exec(m.to, `UPDATE event_offsets SET owner = 0`)
		}},
		{"remember a stream", m.onStream(func(stream string) {
			if dump, err := m.redis.Dump(m.t.Context(), stream).Result(); err == nil {
				m.dumps[stream] = dump
			}
		})},
		{"set streams back", func() { // as a failover to a replica that lags
			for stream, dump := range m.dumps {
				m.must(m.redis.RestoreReplace(m.t.Context(), stream, 0, dump).Err())
			}
			clear(m.dumps)
		}},
		{"delete entries", m.onStream(func(stream string) {
			entries, err := m.redis.XRangeN(m.t.Context(), stream, "-", "+", 3).Result()
			m.must(err)
			for _, e := range entries {
				m.must(m.redis.XDel(m.t.Context(), stream, e.ID).Err())
			}
		})},
		{"write a foreign entry", m.onStream(func(stream string) {
			m.must(m.redis.XAdd(m.t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"hello", "world"}}).Err())
		})},
	}
}

// onStream does something with one of the streams, if there are any.
func (m *machine) onStream(do func(string)) func() {
	return func() {
		if all := m.streams(); len(all) > 0 {
			do(all[m.random.IntN(len(all))])
		}
	}
}

// publish commits a few events of some keys.
func (m *machine) publish() {
	for range 1 + m.random.IntN(3) {
		key := fmt.Sprint("key-", m.random.IntN(6))
		n := m.published[key]
		m.published[key] = n + 1 + m.random.IntN(5)
		m.bus.publish(key, n+1, m.published[key])
	}
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

func stopOne(stops *[]func()) {
	if n := len(*stops); n > 0 {
		(*stops)[n-1]()
		*stops = (*stops)[:n-1]
	}
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}
