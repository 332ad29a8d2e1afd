package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
)

// Replay selects the events to handle again.
type Replay struct {
	Service string // whose events
	// Partition is one part of the service's log; nil is all of it.
	Partition *int64
	// The replay begins after Position, or at the time Since. Exactly one must be set.
	// A position other than 0 needs a Partition.
	Position *int64
	Since    *time.Time
	// Unseen handles only events that were skipped because no release had a handler
	// for their type.
	Unseen bool
}

// askTime bounds a request to the producer while the consumer waits.
const askTime = 3 * time.Second

// Replay sets the consumer back to a position of the producer's log, so that later
// events are handled again in the order of their keys, and returns how many they are.
// Handlers run again: their effects must have been undone before, or be idempotent.
// Parked events of the range are delivered again, too. Partitions of later layouts are
// replayed from their beginning, to keep that order.
//
// The consumer waits meanwhile, at most a few seconds. ErrRepairing means that its
// offsets are not on the producer's history, or that it has not seen all events again
// since it went back; nothing was changed.
func (o *Operator) Replay(ctx context.Context, r Replay) (int64, error) {
	switch {
	case (r.Position == nil) == (r.Since == nil):
		return 0, ErrReplayFrom
	case r.Partition == nil && r.Position != nil && *r.Position != 0:
		return 0, ErrPositionOfAll
	case !slices.Contains(o.Sources, r.Service):
		return 0, ErrNotSubscribed
	}
	var total int64
	err := o.transaction(ctx, func(tx *gorm.DB) (err error) {
		total, err = r.Run(ctx, store{tx, o.Name, r.Service}, o.Source)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	o.Log.WarnContext(ctx, "replay started", "source", r.Service, "events", total, "unseen", r.Unseen)
	return total, nil
}

// Store is what a replay reads and changes, in one transaction.
type Store interface {
	// LockOffsets reads and locks the consumer's offsets, by part.
	LockOffsets() (map[int64]events.Position, error)
	// Repairing returns the parts with events in the inbox that were taken before the
	// consumer went back, and were not seen again.
	Repairing() ([]int64, error)
	// SetBack moves the offset of a part to a place and deletes the inbox rows and
	// parked events behind it; with unseen, only the rows of skipped events.
	SetBack(part int64, to events.Position, unseen bool) error
}

// Run does a replay in the transaction of s, and returns how many events it is of.
func (r Replay) Run(ctx context.Context, s Store, source events.Source) (total int64, err error) {
	// The rows stay locked until the end, so that the producer's answer still holds
	// when they are changed.
	offsets, err := s.LockOffsets()
	if err != nil {
		return 0, err
	}
	parts, err := ask(ctx, source, r.Service, offsets)
	if err != nil {
		return 0, err
	}
	repairing, err := s.Repairing()
	if err != nil {
		return 0, err
	}
	if err := mayReplay(parts, offsets, repairing); err != nil {
		return 0, err
	}
	goals, err := r.goals(ctx, source, parts, offsets)
	if err == nil {
		err = r.prove(ctx, source, goals, offsets)
	}
	if err != nil {
		return 0, err
	}
	for _, g := range goals {
		total += offsets[g.part].Pos - g.to.Pos
		if err := s.SetBack(g.part, g.to, r.Unseen); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// ask returns the producer's parts, with the offsets looked up.
func ask(ctx context.Context, source events.Source, service string, offsets map[int64]events.Position) ([]events.Part, error) {
	var questions []events.Question
	for _, part := range slices.Sorted(maps.Keys(offsets)) {
		questions = append(questions, events.Question{Part: part, Places: []events.Position{offsets[part]}})
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return source.Ask(ctx, service, questions)
}

// mayReplay refuses while the consumer does not stand on the producer's history,
// or is on its way through events that it had taken before it went back: it could
// not tell what is to be handled again from what is to be passed over.
func mayReplay(parts []events.Part, offsets map[int64]events.Position, repairing []int64) error {
	for part, at := range offsets {
		i := slices.IndexFunc(parts, func(p events.Part) bool { return p.Number == part })
		if i < 0 || !parts[i].Has(at) || (slices.Contains(repairing, part) && at != parts[i].Head) {
			return ErrRepairing
		}
	}
	return nil
}

// goal is a place that a part's offset is set back to.
type goal struct {
	part int64
	to   events.Position
}

// goals returns where the parts go back to, those that do.
func (r Replay) goals(
	ctx context.Context, source events.Source, parts []events.Part, offsets map[int64]events.Position,
) ([]goal, error) {
	var goals []goal
	known, backFrom := false, int64(-1) // the layout from whose end on all is read again
	byLayout := func(a, b events.Part) int { return cmp.Compare(a.Layout, b.Layout) }
	for _, p := range slices.SortedFunc(slices.Values(parts), byLayout) {
		at := offsets[p.Number]
		mine := r.Partition == nil || *r.Partition == p.Number
		known = known || mine
		to := p.Base
		switch {
		case backFrom >= 0 && p.Layout > backFrom: // from its beginning
		case !mine:
			continue
		default:
			var err error
			if to, err = r.place(ctx, source, p); err != nil {
				return nil, err
			}
		}
		if to.Pos >= at.Pos {
			continue
		}
		if backFrom < 0 {
			backFrom = p.Layout
		}
		goals = append(goals, goal{p.Number, to})
	}
	if !known {
		return nil, ErrNoSuchPart
	}
	return goals, nil
}

// prove asks whether the goals lie on one history with the places that the consumer
// has reached: until now, two servers may have answered in turn. Only then has it
// taken all events up to the goals.
func (r Replay) prove(ctx context.Context, source events.Source, goals []goal, offsets map[int64]events.Position) error {
	questions := make([]events.Question, len(goals))
	for i, g := range goals {
		questions[i] = events.Question{Part: g.part, Places: []events.Position{g.to, offsets[g.part]}}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	parts, err := source.Ask(ctx, r.Service, questions)
	if err != nil {
		return err
	}
	for _, g := range goals {
		if i := slices.IndexFunc(parts, func(p events.Part) bool { return p.Number == g.part }); i < 0 || !parts[i].KnowsAll {
			return ErrRepairing
		}
	}
	return nil
}

// place returns the place in a part behind which a replay begins.
func (r Replay) place(ctx context.Context, source events.Source, p events.Part) (events.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	pos := int64(0)
	if r.Position != nil {
		pos = *r.Position
	} else {
		var err error
		if pos, err = source.Seek(ctx, r.Service, p.Number, *r.Since); err != nil {
			return events.Position{}, err
		}
	}
	switch {
	case pos <= p.Base.Pos:
		return p.Base, nil
	case pos >= p.Head.Pos:
		return p.Head, nil
	}
	page, err := source.Read(ctx, r.Service, p.Number, pos)
	if err != nil {
		return events.Position{}, err
	}
	if len(page.Records) == 0 || page.Records[0].Pos != pos+1 {
		return events.Position{}, ErrRepairing // deleted or changed while this was asked
	}
	return events.Position{Pos: pos, Mark: page.Records[0].Prev}, nil
}

// store is Store on the consumer's Postgres.
type store struct {
	tx               *gorm.DB
	consumer, source string
}

// LockOffsets implements [Store].
func (s store) LockOffsets() (map[int64]events.Position, error) {
	var rows []struct{ Part, Pos, Mark int64 }
	err := s.tx.Raw(`SELECT part, pos, mark FROM event_offsets WHERE consumer = ? AND source = ? ORDER BY part FOR UPDATE`,
		s.consumer, s.source).Scan(&rows).Error
	offsets := map[int64]events.Position{}
	for _, r := range rows {
		offsets[r.Part] = events.Position{Pos: r.Pos, Mark: events.Mark(r.Mark)}
	}
	return offsets, err
}

// Repairing implements [Store].
func (s store) Repairing() (parts []int64, err error) {
	err = s.tx.Raw(`SELECT DISTINCT part FROM event_inbox WHERE consumer = ? AND source = ? AND mark = 0`,
		s.consumer, s.source).Scan(&parts).Error
	return parts, err
}

// SetBack implements [Store].
func (s store) SetBack(part int64, to events.Position, unseen bool) error {
	err := s.tx.Exec(`UPDATE event_offsets SET pos = ?, mark = ? WHERE consumer = ? AND source = ? AND part = ?`,
		to.Pos, int64(to.Mark), s.consumer, s.source, part).Error
	if err != nil {
		return err
	}
	var forgotten []uuid.UUID
	err = s.tx.Raw(`
DELETE FROM event_inbox WHERE consumer = ? AND source = ? AND part = ? AND pos > ? AND mark <> 0
AND (passed OR NOT ?) RETURNING event_id`,
		s.consumer, s.source, part, to.Pos, unseen).Scan(&forgotten).Error
	if err != nil || unseen {
		return err
	}
	// An event waits as long as the inbox has it. Events parked under schema version 1 are
	// not in the inbox.
	const parked = `(p.event_id = ANY (?::uuid[]) OR (p.source = ? AND p.part = ? AND p.pos > ? AND NOT EXISTS (
		SELECT 1 FROM event_inbox i WHERE i.consumer = p.consumer AND i.event_id = p.event_id)))`
	args := []any{"{" + strings.Join(texts(forgotten), ",") + "}", s.source, part, to.Pos}
	keys, err := lockKeys(s.tx, s.consumer, parked, args...)
	if err == nil {
		_, err = keys.remove(s.tx, s.consumer, parked, args...)
	}
	return err
}

func texts(ids []uuid.UUID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return list
}
