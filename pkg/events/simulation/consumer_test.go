package simulation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// consumerState is what the consumer's database holds after some commit.
type consumerState struct {
	instances []instance
	offsets   []consumer.Offset // by part
	inbox     []inboxRow        // by the event's number
	keys      []keyRow
	parked    []consumer.Parked // in the order of their numbers
	applied   []int32           // what the handlers have written
	number    int64
}

type instance struct {
	id   int64
	seen time.Duration
}

type inboxRow struct {
	events.Position
	part int64
	in   bool
}

type keyRow struct {
	consumer.Key
	next, since time.Duration
}

// consumerServer is the consumer's Postgres. Its transactions come one after the
// other.
type consumerServer struct {
	server
	state   consumerState
	commits []consumerState
	open    *transaction
}

// copied returns a state that can be changed without the other.
func (s consumerState) copied() consumerState {
	s.instances, s.offsets = slices.Clone(s.instances), slices.Clone(s.offsets)
	s.inbox, s.keys, s.parked = slices.Clone(s.inbox), slices.Clone(s.keys), slices.Clone(s.parked)
	s.applied = slices.Clip(s.applied)
	return s
}

func (c *consumerServer) commit(s consumerState) {
	c.commits = append(c.commits, c.state)
	c.state = s
}

// consumerDB is the consumer's Postgres as an instance of the process uses it.
type consumerDB struct {
	*system
	process *process
}

// change is a transaction of one statement.
func (c consumerDB) change(f func(*consumerState)) error {
	for {
		blocked := false
		err := c.exchange(c.process, &c.consumer.server, func() {
			if blocked = c.isLocked(); blocked {
				return
			}
			s := c.consumer.state.copied()
			f(&s)
			c.consumer.commit(s)
		})
		if err != nil || !blocked {
			return err
		}
		c.sleep(c.process, 2*time.Millisecond)
	}
}

// isLocked reports whether a transaction is open. One whose process is gone, or has
// not been heard of for a while, is aborted.
func (c consumerDB) isLocked() bool {
	o := c.consumer.open
	if o != nil && (o.process.dead || o.process.frozen > c.now+lockTime) {
		c.consumer.abort()
	}
	return c.consumer.open != nil
}

// abort ends the open transaction.
func (c *consumerServer) abort() {
	if c.open != nil {
		c.open.aborted = true
		c.open = nil
	}
}

// lockTime is how long the server lets a silent session hold locks.
const lockTime = 2 * time.Second

// liveTime is how long an instance is alive after a heartbeat.
const liveTime = 1500 * time.Millisecond

// declared is what migrate has recorded of the newest release.
var declared = map[events.TypeName]int{
	{Source: source, Event: made.Name()}: 1, {Source: source, Event: private.Name()}: 1,
	{Source: source, Event: sent.Name()}: 1, {Source: source, Event: ended.Name()}: 1,
}

// Beat implements consumer.Database.
func (c consumerDB) Beat(_ context.Context, me int64) (g consumer.Group, err error) {
	err = c.exchange(c.process, &c.consumer.server, func() {
		s, now := &c.consumer.state, c.clock(&c.consumer.server) // heartbeats are no commits to go back to
		s.instances = slices.DeleteFunc(slices.Clone(s.instances), func(i instance) bool {
			return i.id == me || (now-i.seen).Abs() > time.Hour
		})
		s.instances = append(s.instances, instance{me, now})
		g = consumer.Group{Declared: declared, Due: -1, Offsets: slices.Clone(s.offsets)}
		for _, i := range s.instances {
			if (now - i.seen).Abs() <= liveTime {
				g.Live = append(g.Live, i.id)
			}
		}
		slices.Sort(g.Live)
		for _, k := range s.keys {
			if k.State != consumer.StateDead && (g.Due < 0 || k.wait(now) < g.Due) {
				g.Due = k.wait(now)
			}
		}
	})
	return g, err
}

// wait returns the time until a key is due. What is further ahead than any can have
// been set is due.
func (k keyRow) wait(now time.Duration) time.Duration {
	if k.next > now+15*time.Minute {
		return 0
	}
	return max(k.next-now, 0)
}

// Leave implements consumer.Database.
func (c consumerDB) Leave(_ context.Context, me int64) error {
	return c.change(func(s *consumerState) {
		s.instances = slices.DeleteFunc(s.instances, func(i instance) bool { return i.id == me })
		for i := range s.offsets {
			if s.offsets[i].Owner == me {
				s.offsets[i].Owner = 0
			}
		}
	})
}

// AddOffsets implements consumer.Database.
func (c consumerDB) AddOffsets(_ context.Context, source string, parts []int64) error {
	return c.change(func(s *consumerState) {
		for _, part := range parts {
			if s.offset(part) == nil {
				s.offsets = append(s.offsets, consumer.Offset{Source: source, Part: part})
			}
		}
		slices.SortFunc(s.offsets, func(a, b consumer.Offset) int { return cmp.Compare(a.Part, b.Part) })
	})
}

func (s *consumerState) offset(part int64) *consumer.Offset {
	for i := range s.offsets {
		if s.offsets[i].Part == part {
			return &s.offsets[i]
		}
	}
	return nil
}

// Own implements consumer.Database.
func (c consumerDB) Own(_ context.Context, o consumer.Offset, owner int64) (row consumer.Offset, ok bool, err error) {
	row = o
	err = c.change(func(s *consumerState) {
		if at := s.offset(o.Part); at != nil && at.Owner == o.Owner {
			at.Owner = owner
			row, ok = *at, true
		}
	})
	return row, ok, err
}

// GoBack implements consumer.Database.
func (c consumerDB) GoBack(_ context.Context, o consumer.Offset, to events.Position) (ok bool, err error) {
	err = c.change(func(s *consumerState) {
		at := s.offset(o.Part)
		if ok = at != nil && *at == o; !ok {
			return
		}
		at.Position = to
		for i := range s.inbox {
			if row := &s.inbox[i]; row.in && row.part == o.Part && row.Pos > to.Pos {
				row.Position = events.Position{Pos: to.Pos}
			}
		}
		c.note("offset of part %d back from %d to %d", o.Part, o.Pos, to.Pos)
	})
	return ok, err
}

// Older implements consumer.Database.
func (c consumerDB) Older(_ context.Context, _ string, part, pos int64) (places []events.Position, err error) {
	err = c.exchange(c.process, &c.consumer.server, func() {
		var all []events.Position
		for _, row := range c.consumer.state.inbox {
			if row.in && row.part == part && row.Pos < pos && row.Mark != 0 {
				all = append(all, row.Position)
			}
		}
		slices.SortFunc(all, func(a, b events.Position) int { return cmp.Compare(a.Pos, b.Pos) })
		if len(all) > 0 {
			places = append(places, all[0])
		}
		for d := int64(1); d < pos; d *= 2 {
			i, _ := slices.BinarySearchFunc(all, pos-d+1, func(a events.Position, p int64) int { return cmp.Compare(a.Pos, p) })
			if i > 0 {
				places = append(places, all[i-1])
			}
		}
	})
	return places, err
}

// Purge implements consumer.Database.
func (c consumerDB) Purge(_ context.Context, _ string, part, pos int64) (bool, error) {
	return false, c.change(func(s *consumerState) {
		for i := range s.inbox {
			if row := &s.inbox[i]; row.in && row.part == part && row.Pos < pos {
				row.in = false
				c.forgot(int32(i), part, row.Pos)
			}
		}
	})
}

// CountKeys implements consumer.Database.
func (consumerDB) CountKeys(context.Context) (map[string]int64, error) { return nil, nil }

// DropKey implements consumer.Database.
func (c consumerDB) DropKey(_ context.Context, _, key string) error {
	return c.change(func(s *consumerState) {
		if s.first(key) < 0 {
			s.keys = slices.DeleteFunc(s.keys, func(k keyRow) bool { return k.Key.Key == key })
		}
	})
}

// first returns the index of the first parked event of a key, below 0 for none.
func (s *consumerState) first(key string) int {
	return slices.IndexFunc(s.parked, func(p consumer.Parked) bool { return p.Key == key })
}
