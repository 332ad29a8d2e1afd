package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// faults are what may happen to a system, besides what happens at effects.
var faults = []func(*system){
	func(w *system) { w.kill(w.relays[w.random.IntN(2)]) },
	func(w *system) { w.kill(w.consumers[w.random.IntN(2)]) },
	func(w *system) { w.redis.away = w.now + w.short(); w.note("Redis is away until %v", w.redis.away) },
	func(w *system) {
		w.producer.away = w.now + w.short()
		w.note("producer's database is away until %v", w.producer.away)
	},
	func(w *system) {
		w.consumer.away = w.now + w.short()
		w.note("consumer's database is away until %v", w.consumer.away)
	},
	func(w *system) {
		w.http.away = w.now + w.short()
		w.note("the producer does not answer until %v", w.http.away)
	},
	func(w *system) { w.redis.byPart = map[int64]*stream{}; w.note("Redis loses everything") },
	func(w *system) { w.redis.saved = w.redis.copied() },
	loseTail, deleteEntries, forge, putBackRedis, replaceStream, fillRedis,
	restoreProducer, restoreProducer, restoreConsumer, restoreConsumer, failOverProducer, recreate,
	func(w *system) {
		w.producer.ahead = w.offset()
		w.note("producer's clock is %v ahead", w.producer.ahead)
	},
	func(w *system) {
		w.consumer.ahead = w.offset()
		w.note("consumer's clock is %v ahead", w.consumer.ahead)
	},
	func(w *system) {
		w.retention(w.random.IntN(len(w.producer.state.parts)), 1+w.random.Int64N(10))
	},
	func(w *system) { w.outage = w.now + w.short(); w.note("all handlers fail until %v", w.outage) },
	poisonNext,
	func(w *system) { w.repartition(1 + w.random.Int64N(4)) },
	upgradeConsumer,
	replay, replay,
	endKey,
}

func (w *system) short() time.Duration { return time.Duration(w.random.Int64N(int64(3 * time.Second))) }

// offset is what a clock that has stepped is off by: days, or so little that what it
// delays still happens before the history's end.
func (w *system) offset() time.Duration {
	d := time.Hour + time.Duration(w.random.Int64N(int64(10*24*time.Hour)))
	if w.random.IntN(2) == 0 {
		d = time.Duration(w.random.Int64N(int64(10 * time.Second)))
	}
	if w.random.IntN(2) == 0 {
		d = -d
	}
	return d
}

// loseTail is a failover to a replica that lacks the newest entries.
func loseTail(w *system) {
	_, s := w.anyStream()
	n := w.random.IntN(len(s.entries) + 1)
	s.entries, s.generated = s.entries[:n:n], 0
	if n > 0 {
		s.generated = s.entries[n-1].Pos
	}
	w.note("a stream loses all but %d entries", n)
}

func deleteEntries(w *system) {
	part, s := w.anyStream()
	left := []events.Entry{}
	for _, e := range s.entries {
		if w.random.IntN(3) > 0 {
			left = append(left, e)
		}
	}
	w.note("stream %d loses %d entries", part, len(s.entries)-len(left))
	s.entries = left
}

// forge adds an entry that seems to follow, or one far ahead.
func forge(w *system) {
	part, s := w.anyStream()
	last := events.Position{Pos: s.generated}
	if len(s.entries) > 0 {
		last = s.entries[len(s.entries)-1].Position
	}
	n := w.event(w.random.IntN(keys), w.anyType())
	e := events.Entry{Position: events.Position{Pos: s.generated + 1, Mark: 7}, Prev: last.Mark, Envelope: w.events[n].envelope}
	switch w.random.IntN(4) {
	case 0:
		e.Pos += 1000
	case 1:
		e.Envelope = "{"
	}
	s.entries, s.generated = append(s.entries, e), e.Pos
	w.note("%d is forged in stream %d at %d", n, part, e.Pos)
	w.notify(part)
}

func putBackRedis(w *system) {
	if w.redis.saved != nil {
		w.redis.byPart, w.redis.saved = w.redis.saved, nil
		w.note("Redis is put back")
	}
}

func replaceStream(w *system) {
	_, s := w.anyStream()
	*s = stream{foreign: true}
	w.note("a stream is no stream any more")
}

func fillRedis(w *system) {
	w.redis.full = true
	w.note("Redis is full")
	w.after(w.self, w.short(), func() { w.redis.full = false })
}

// restoreProducer puts the producer's database back, under processes that go on.
func restoreProducer(w *system) {
	commits := w.producer.commits
	i := len(commits) - 1 - w.random.IntN(len(commits))
	w.producer.commit(commits[i].clipped())
	w.note("producer is put back by %d commits, to %d events", len(commits)-i, len(w.producer.state.published))
	w.operator()
}

// operator sometimes reacts to an event with a replay.
func (w *system) operator() {
	if w.random.IntN(3) == 0 {
		w.after(w.self, w.short(), func() { replay(w) })
	}
}

func restoreConsumer(w *system) {
	commits := w.consumer.commits
	if len(commits) == 0 {
		return
	}
	i := len(commits) - 1 - w.random.IntN(len(commits))
	w.consumer.abort()
	w.consumer.commit(commits[i].copied())
	w.note("consumer is put back by %d commits", len(commits)-i)
	w.operator()
}

// failOverProducer loses the newest commits; the old primary goes on answering for
// a while.
func failOverProducer(w *system) {
	commits := w.producer.commits
	i := max(len(commits)-1-w.random.IntN(5), 0)
	old := w.producer.state
	w.old, w.oldUntil = &old, w.now+w.short()
	w.producer.commit(commits[i].clipped())
	w.note("producer fails over, loses %d commits; the old one answers until %v", len(commits)-i, w.oldUntil)
	w.operator()
}

// recreate begins one of the databases anew.
func recreate(w *system) {
	if w.random.IntN(2) == 0 {
		w.consumer.abort()
		w.consumer.commit(consumerState{})
		w.note("consumer begins anew")
		return
	}
	w.producer.commit(w.newLayout(producerState{until: -1 << 62}, 1+w.random.Int64N(3)))
	w.note("producer begins anew")
}

// poisonNext makes one of the next events fail.
func poisonNext(w *system) {
	n := int32(len(w.events) + w.random.IntN(3))
	w.poison[n] = poison{permanent: w.random.IntN(3) == 0}
	w.note("%d is poison", n)
}

// endKey publishes an event that erases the earlier ones of its key.
func endKey(w *system) {
	key := w.random.IntN(keys)
	for n, e := range w.events {
		if e.key == key {
			w.erased[int32(n)] = true
		}
	}
	w.publish(key, ended.Name())
}

// upgradeConsumer replaces an instance in order.
func upgradeConsumer(w *system) { w.stopConsumer(w.random.IntN(2)) }

// calm ends all faults.
func (w *system) calm() {
	w.note("--- calm")
	w.faulty = false
	w.redis.away, w.redis.full, w.producer.away, w.consumer.away, w.http.away = 0, false, 0, 0, 0
	w.outage, w.old = 0, nil
	for _, p := range append(w.relays, w.consumers...) {
		p.frozen = 0
	}
	clear(w.poison)
	for _, p := range w.older { // the end of a rolling deploy
		w.kill(p)
	}
	w.redrive()
}

// redrive is an operator's: what is dead gets another attempt.
func (w *system) redrive() {
	w.consumer.abort()
	s := w.consumer.state.copied()
	for i := range s.keys {
		if k := &s.keys[i]; k.State == consumer.StateDead {
			k.State, k.Attempts, k.next = consumer.StateWaiting, 0, w.clock(&w.consumer.server)
		}
	}
	w.consumer.commit(s)
}

// replay is an operator's, who undoes what the handlers have done before.
func replay(w *system) {
	p := &process{}
	from := int64(0)
	r := admin.Replay{Service: source, Position: &from}
	if parts := w.producer.state.parts; w.random.IntN(2) == 0 {
		part := parts[w.random.IntN(len(parts))]
		from, r.Partition = w.random.Int64N(part.Head.Pos+1), &part.Number
	}
	w.spawn(p, nil, func(ctx context.Context) time.Duration {
		var n int64
		err := consumerDB{w, p}.Transact(ctx, func(tx consumer.Tx) (err error) {
			n, err = r.Run(ctx, replayStore{tx.(*transaction)}, logSource{w, p})
			return err
		})
		w.note("replay of %d from %d: %v", n, from, err)
		p.dead = true
		panic(crashed{})
	})
}

// replayStore implements admin.Store.
type replayStore struct{ *transaction }

// LockOffsets implements admin.Store.
func (s replayStore) LockOffsets() (map[int64]events.Position, error) { return s.Offsets(source) }

// Repairing implements admin.Store.
func (s replayStore) Repairing() (parts []int64, err error) {
	for _, row := range s.state.inbox {
		if row.in && row.Mark == 0 {
			parts = append(parts, row.part)
		}
	}
	return parts, s.statement()
}

// SetBack implements admin.Store.
func (s replayStore) SetBack(part int64, to events.Position, _ bool) error {
	s.state.offset(part).Position = to
	forgotten := map[int32]bool{}
	for i := range s.state.inbox {
		if row := &s.state.inbox[i]; row.in && row.part == part && row.Pos > to.Pos && row.Mark != 0 {
			row.in = false
			forgotten[int32(i)] = true
		} else if row.in && row.Mark == 0 {
			s.staying = append(s.staying, int32(i))
		}
	}
	s.state.applied = slices.DeleteFunc(slices.Clone(s.state.applied), func(n int32) bool { return forgotten[n] })
	first := map[string]int64{}
	for _, k := range s.state.keys {
		first[k.Key.Key] = s.firstNumber(k.Key.Key)
	}
	s.state.parked = slices.DeleteFunc(s.state.parked, func(p consumer.Parked) bool { return forgotten[numberOf(p.ID)] })
	s.state.keys = slices.DeleteFunc(s.state.keys, func(k keyRow) bool { return s.state.first(k.Key.Key) < 0 && first[k.Key.Key] != 0 })
	for i := range s.state.keys {
		if k := &s.state.keys[i]; s.firstNumber(k.Key.Key) != first[k.Key.Key] {
			k.State, k.Attempts, k.next = consumer.StateWaiting, 0, s.clock(&s.consumer.server)
		}
	}
	return s.statement()
}

func (s replayStore) firstNumber(key string) int64 {
	if i := s.state.first(key); i >= 0 {
		return s.state.parked[i].Number
	}
	return 0
}
