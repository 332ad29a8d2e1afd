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

// isOwn reports whether a stream that ends so can be continued. part is the
// producer's answer about end.Last, asked for after end was read: what another
// relay has appended meanwhile is in the log.
func isOwn(end End, part events.Part) bool {
	switch {
	case !end.Exists:
		return true
	case end.Foreign || end.Generated != end.Last.Pos:
		return false
	case end.Last.Pos < part.Base.Pos: // older than the log: nothing says otherwise
		return true
	}
	return part.HasKnown && part.Known == end.Last
}

// continues reports whether records can be appended to a stream that ends at has.
func continues(has int64, records []events.Record) bool {
	return len(records) > 0 && records[0].Pos <= has+1 && records[len(records)-1].Pos > has
}

// allowance limits what retention deletes to 1/24 of the log an hour, whatever a
// clock says.
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

// watermark is an id of the outbox at and below which nothing is left and nothing
// can come any more. Without it every look would pass over the rows removed
// since the oldest snapshot in the database was taken.
//
// A transaction takes its number before the ids of its rows. So whoever may still
// commit a row below one that a move has seen had its number before the next move
// took its own; once all numbers below that one are decided, the watermark rises.
type watermark struct {
	id     int64
	seen   int64 // highest id moved; 0 for none since the watermark rose
	before int64 // transactions with rows below seen have lower numbers; 0 while unknown
}

// moved records a move in transaction xact, with rows up to highest, under a
// snapshot in which no transaction below xmin was open. If it was cut, rows
// behind highest were left.
func (w *watermark) moved(highest int64, cut bool, xact, xmin int64) {
	switch {
	case w.seen == 0:
		w.seen = highest
	case w.before == 0:
		w.before = xact
	case xmin >= w.before:
		if cut {
			w.seen = min(w.seen, highest)
		}
		*w = watermark{id: max(w.id, w.seen)}
	}
}
