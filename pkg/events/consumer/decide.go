package consumer

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
)

// next returns the events that follow at, without a gap, from entries of a
// stream. gap reports that the stream has something above at that does not
// follow, or only announces it: the log must be read.
func next(at events.Position, entries []delivery) (run []delivery, gap bool) {
	for _, e := range entries {
		switch {
		case e.Pos <= at.Pos:
		case !e.Follows(at) || e.stub:
			return run, len(run) == 0
		default:
			run = append(run, e)
			at = e.Position
		}
	}
	return run, false
}

// Verdicts about a page of the log, read for what comes after a place.
type verdict int

const (
	follows verdict = iota // the page continues the place
	differs                // the place is not on this history
	deleted                // retention has deleted what follows the place
	unknown                // the producer has no such part
)

// judge compares a page, read above at, with at. When events were deleted, start
// is the place before the first that is left.
func judge(at events.Position, page events.Page) (v verdict, start events.Position) {
	switch {
	case !page.Known:
		return unknown, at
	case len(page.Records) > 0:
		first := page.Records[0]
		if first.Follows(at) {
			return follows, at
		}
		if first.Pos == at.Pos+1 {
			return differs, at
		}
		return deleted, events.Position{Pos: first.Pos - 1, Mark: first.Prev}
	case page.Head == at:
		return follows, at
	case page.Head.Pos <= at.Pos:
		return differs, at
	}
	return deleted, page.Head
}

// back returns the place to go back to when the producer's history has changed:
// the highest that both have. If there is none, it is the place before the log's
// first event, and proved is false.
func back(part events.Part) (to events.Position, proved bool) {
	if part.HasKnown {
		return part.Known, true
	}
	return part.Base, false
}

// readable reports whether events of a part may be applied: all parts of earlier
// layouts must be closed and read to their ends, by position and mark.
func readable(parts []events.Part, number int64, offsets map[int64]events.Position) bool {
	mine := find(parts, number)
	if mine == nil {
		return false
	}
	for _, p := range parts {
		if p.Layout < mine.Layout && (!p.Closed || offsets[p.Number] != p.Head) {
			return false
		}
	}
	return true
}

// hasEarlier reports whether a part is of a later layout than the first.
func hasEarlier(parts []events.Part, number int64) bool {
	mine := find(parts, number)
	return mine == nil || parts[0].Layout < mine.Layout
}

func find(parts []events.Part, number int64) *events.Part {
	for i := range parts {
		if parts[i].Number == number {
			return &parts[i]
		}
	}
	return nil
}

// finished reports whether nothing more can come of a part.
func finished(p events.Part, at events.Position) bool { return p.Closed && at == p.Head }

// balance returns which of the offsets the instance me should take over and which
// it should give up, so that every live instance has its share. live is sorted.
func balance(offsets []Offset, live []int64, me int64) (claim, release []Offset) {
	rank := slices.Index(live, me)
	if rank < 0 {
		return nil, nil
	}
	share := len(offsets) / len(live)
	if rank < len(offsets)%len(live) {
		share++
	}
	var mine, free []Offset
	for _, o := range offsets {
		switch {
		case o.Owner == me:
			mine = append(mine, o)
		case !slices.Contains(live, o.Owner):
			free = append(free, o)
		}
	}
	if len(mine) > share {
		return nil, mine[share:]
	}
	return free[:min(len(free), share-len(mine))], nil
}

// purgeBelow returns the position below which inbox rows of a part can be deleted: as far
// below the log's first event as the log is long, so that no restored backup still has
// these events. Until retention deletes something, nothing is purged.
func purgeBelow(part events.Part, at events.Position) int64 {
	return min(part.Base.Pos-part.Len(), at.Pos)
}

const (
	backoffMin   = 100 * time.Millisecond
	backoffMax   = 10 * time.Minute
	deadAttempts = 10
	deadAge      = 24 * time.Hour
)

// retryDelay returns the wait before the attempt at a key that comes after the given
// number of them: 100 ms · 2ⁿ ± 20 %, at most 10 min, and at least the delay that the
// handler requested.
func retryDelay(key string, attempts int, err error) time.Duration {
	d := min(backoffMin<<min(attempts-1, 20), backoffMax)
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, key, attempts)
	spread := float64(h.Sum32()) / math.MaxUint32 // keys that failed together are not tried together
	d = time.Duration(float64(d) * (0.8 + 0.4*spread))
	return max(d, events.RetryDelay(err))
}

// isDead reports whether a key's first event becomes a dead letter.
func isDead(attempts int, age time.Duration, err error) bool {
	return events.IsPermanent(err) || (attempts >= deadAttempts && age >= deadAge)
}
