package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
)

// source is the only producer's name.
const source = "producer"

// producerState is what the producer's database holds after some commit. A commit
// makes a new one: rows are appended or cut off, never changed.
type producerState struct {
	published []int32 // the business rows: events by number, in the order of commits
	outbox    []int32
	parts     []logPart
	layout    int64
	count     int64
	base      int64 // number of the layout's first part
	relay     int64
	until     time.Duration
}

// logPart is a row of event_parts with its rows of event_log.
type logPart struct {
	events.Part
	rows []logRow
}

type logRow struct {
	events.Position
	prev     events.Mark
	event    int32
	redacted bool
	erases   bool // and what it erases is not redacted yet
}

// producer is the producer's Postgres.
type producer struct {
	server
	state   producerState
	commits []producerState
}

// clipped keeps later appends out of the rows that other states share.
func (s producerState) clipped() producerState {
	s.published, s.outbox, s.parts = slices.Clip(s.published), slices.Clip(s.outbox), slices.Clone(s.parts)
	for i := range s.parts {
		s.parts[i].rows = slices.Clip(s.parts[i].rows)
	}
	return s
}

func (p *producer) commit(s producerState) {
	p.commits = append(p.commits, p.state)
	p.state = s
}

// copied returns the state with a copy of its parts.
func (p *producer) copied() producerState {
	s := p.state
	s.parts = slices.Clone(s.parts)
	return s
}

// publish is a transaction of the service.
func (w *system) publish(key int, name string) {
	n := w.event(key, name)
	s := w.producer.state
	s.published, s.outbox = append(s.published, n), append(s.outbox, n)
	w.producer.commit(s)
	w.note("publish %d of key %d", n, key)
	w.poke(w.relays)
}

// repartition begins a layout of count parts.
func (w *system) repartition(count int64) {
	w.producer.commit(w.newLayout(w.producer.copied(), count))
}

func (w *system) newLayout(s producerState, count int64) producerState {
	for i := range s.parts {
		s.parts[i].Closed = true
	}
	s.layout, s.count, s.base = s.layout+1, count, w.random.Int64N(1<<62)
	for i := range count {
		s.parts = append(s.parts, logPart{Part: events.Part{Number: s.base + i, Layout: s.layout}})
	}
	w.note("layout %d with %d parts from %d", s.layout, count, s.base)
	return s
}

// retention deletes the oldest n events of a part.
func (w *system) retention(i int, n int64) {
	s := w.producer.copied()
	p := &s.parts[i]
	if n = min(n, p.Len()); n == 0 {
		return
	}
	for _, r := range p.rows[:n] {
		w.trimmed[r.event] = true
	}
	last := p.rows[n-1]
	p.Base, p.rows = last.Position, p.rows[n:]
	w.producer.commit(s)
	w.note("retention deletes %d of part %d", n, p.Number)
}

// relayDB is the producer's Postgres as a relay of the process uses it.
type relayDB struct {
	*system
	process *process
}

// Lead implements relay.Database.
func (r relayDB) Lead(_ context.Context, me int64, d time.Duration) (leads bool, err error) {
	err = r.exchange(r.process, &r.producer.server, func() {
		s, now := r.producer.state, r.clock(&r.producer.server)
		if s.relay != me && s.until >= now && s.until <= now+d {
			return
		}
		leads = true
		s.relay, s.until = me, now+d
		r.producer.state = s // a lease is nothing that a restore brings back
	})
	return leads, err
}

// Resign implements relay.Database.
func (r relayDB) Resign(_ context.Context, me int64) error {
	return r.exchange(r.process, &r.producer.server, func() {
		if r.producer.state.relay == me {
			r.producer.state.relay = 0
			r.producer.state.until = -1 << 62
		}
	})
}

// Move implements relay.Database.
func (r relayDB) Move(context.Context, bool) (moved map[int64][]events.Record, full bool, err error) {
	err = r.exchange(r.process, &r.producer.server, func() {
		if len(r.producer.state.outbox) == 0 {
			return
		}
		s := r.producer.copied()
		n := min(len(s.outbox), 1+r.random.IntN(20))
		moved, full = map[int64][]events.Record{}, n < len(s.outbox)
		for _, event := range s.outbox[:n] {
			record, part := s.place(event, r.events[event], events.Mark(1+r.random.Int64N(1<<53)))
			moved[part] = append(moved[part], record)
		}
		s.outbox = s.outbox[n:]
		r.producer.commit(s)
		r.note("%d moved", n)
	})
	if err == nil && len(moved) > 0 {
		r.wakeAppender(r.process)
	}
	return moved, full, err
}

// place assigns an event its place in the log.
func (s *producerState) place(number int32, e event, mark events.Mark) (events.Record, int64) {
	part := s.base + int64(e.key)%s.count
	for i := range s.parts {
		p := &s.parts[i]
		if p.Number != part {
			continue
		}
		row := logRow{
			Position: events.Position{Pos: p.Head.Pos + 1, Mark: mark}, prev: p.Head.Mark, event: number, erases: e.name == ended.Name(),
		}
		p.rows = append(p.rows, row)
		p.Head = row.Position
		return e.record(row), part
	}
	panic("the layout lacks a part")
}

// Ask implements relay.Database.
func (r relayDB) Ask(_ context.Context, questions []events.Question) (parts []events.Part, err error) {
	err = r.exchange(r.process, &r.producer.server, func() { parts = r.producer.state.ask(questions) })
	return parts, err
}

func (s *producerState) ask(questions []events.Question) []events.Part {
	parts := make([]events.Part, len(s.parts))
	for i := range s.parts {
		p := &s.parts[i]
		parts[i] = p.Part
		for _, q := range questions {
			if q.Part == p.Number {
				var n int
				parts[i].Known, n = p.known(q.Places)
				parts[i].HasKnown, parts[i].KnowsAll = n > 0, n == len(q.Places)
			}
		}
	}
	return parts
}

// known returns the highest of places that is on this history, and how many are.
func (p *logPart) known(places []events.Position) (highest events.Position, n int) {
	for _, at := range places {
		has := at == p.Base
		if i := at.Pos - p.Base.Pos - 1; !has && i >= 0 && i < int64(len(p.rows)) {
			has = p.rows[i].Position == at
		}
		if has {
			n++
		}
		if has && (n == 1 || at.Pos > highest.Pos) {
			highest = at
		}
	}
	return highest, n
}

// Page implements relay.Database.
func (r relayDB) Page(_ context.Context, part, pos int64) (page events.Page, err error) {
	err = r.exchange(r.process, &r.producer.server, func() { page = r.read(&r.producer.state, part, pos) })
	return page, err
}

func (w *system) read(s *producerState, part, pos int64) events.Page {
	page := events.Page{}
	for i := range s.parts {
		p := &s.parts[i]
		if p.Number != part {
			continue
		}
		page.Known, page.Head = true, p.Head
		first := max(pos-p.Base.Pos, 0)
		last := min(first+1+w.random.Int64N(8), int64(len(p.rows)))
		for ; first < last; first++ {
			row := p.rows[first]
			page.Records = append(page.Records, w.events[row.event].record(row))
		}
	}
	return page
}

// Backlog implements relay.Database.
func (r relayDB) Backlog(context.Context) (int64, time.Duration, error) { return 0, 0, nil }

// Trim implements relay.Database. What the relay may delete is a matter of days:
// see retention.
func (r relayDB) Trim(context.Context, int64, int64, time.Duration) (int64, error) { return 0, nil }

// Erase implements relay.Database: one erasing event at a time.
func (r relayDB) Erase(context.Context) (n int64, more bool, err error) {
	err = r.exchange(r.process, &r.producer.server, func() {
		s := r.producer.copied()
		if n = s.erase(r.events); n > 0 {
			r.producer.commit(s)
			r.note("%d rows redacted", n-1)
		}
	})
	return n, n > 0, err
}

// erase redacts what the first erasing event erases. It returns 0 if there is none.
func (s *producerState) erase(all []event) (n int64) {
	for i := range s.parts {
		part := &s.parts[i]
		at := slices.IndexFunc(part.rows, func(r logRow) bool { return r.erases })
		if at < 0 {
			continue
		}
		last := part.rows[at]
		for j := range s.parts {
			p := &s.parts[j]
			p.rows = slices.Clone(p.rows)
			for k := range p.rows {
				row := &p.rows[k]
				e := all[row.event]
				before := p.Layout < part.Layout || i == j && row.Pos < last.Pos
				if before && e.personal() && e.key == all[last.event].key && !row.redacted {
					row.redacted = true
					n++
				}
			}
		}
		part.rows[at].erases = false
		return n + 1
	}
	return 0
}

// logSource is the producer's log as a consumer of the process asks it.
type logSource struct {
	*system
	process *process
}

// answers returns the state of the server that answers: of two that are both the
// primary, either.
func (l logSource) answers() *producerState {
	if l.old != nil && l.now < l.oldUntil && l.random.IntN(2) == 0 {
		return l.old
	}
	return &l.producer.state
}

// Ask implements events.Source.
func (l logSource) Ask(_ context.Context, _ string, questions []events.Question) (parts []events.Part, err error) {
	err = l.exchange(l.process, &l.http, func() { parts = l.answers().ask(questions) })
	return parts, err
}

// Read implements events.Source.
func (l logSource) Read(_ context.Context, _ string, part, pos int64) (page events.Page, err error) {
	l.pages++
	err = l.exchange(l.process, &l.http, func() { page = l.read(l.answers(), part, pos) })
	return page, err
}

// Seek implements events.Source.
func (l logSource) Seek(context.Context, string, int64, time.Time) (int64, error) {
	panic("nobody seeks")
}
