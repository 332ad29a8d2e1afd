package relay

import (
	"time"

	"github.com/go-troika/troika/pkg/events"
)

// End is what a stream ends with.
type End struct {
	Exists  bool
	Foreign bool // not a stream, or ends with what no relay writes
	// Generated is the position of the last id that Redis gave out; it survives
	// the deletion of entries.
	Generated int64
	Last      events.Position // the last entry
}

// canContinue reports whether a stream with this end can be continued. part is the
// log's state, with end.Last looked up, read after end was: entries that another
// relay has appended meanwhile are in the log.
func canContinue(end End, part events.Part) bool {
	switch {
	case !end.Exists:
		return true
	case end.Foreign || end.Generated != end.Last.Pos:
		return false
	case end.Last.Pos < part.Base.Pos: // older than the log: nothing contradicts it
		return true
	}
	return part.HasKnown && part.Known == end.Last
}

// continues reports whether records can be appended to a stream that ends at has.
func continues(has int64, records []events.Record) bool {
	return len(records) > 0 && records[0].Pos <= has+1 && records[len(records)-1].Pos > has
}

// allowance limits retention to 1/24 of the log an hour, even if a clock steps.
type allowance struct {
	rows float64
	last time.Duration
}

// grow adds what has become allowed by now, a monotonic time, for a log of n rows.
func (a *allowance) grow(now time.Duration, n int64) {
	if a.last != 0 {
		a.rows += float64(n) / 24 * (now - a.last).Hours()
	}
	a.rows, a.last = min(a.rows, float64(n)/24), now
}

// deletable returns how many of a part's oldest events may be deleted: none of
// the newest cap, unless the part is closed.
func deletable(part events.Part, limit int64, allowed float64) int64 {
	n := part.Len() - limit
	if part.Closed {
		n = part.Len()
	}
	return max(min(n, int64(allowed)), 0)
}
