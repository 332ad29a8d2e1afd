package events

import (
	"context"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Mark is a random number that the relay draws each time it gives an event its place in
// the log. It distinguishes two histories that have different events at a position.
type Mark int64

// Position is a place in one part of a log. Positions count from 1 without a
// gap. The zero Position is before the first event.
type Position struct {
	Pos  int64 `json:"pos,string"`
	Mark Mark  `json:"mark,string"`
}

// Record is an event at its place in the log. Prev is the mark of the place
// before: the log is a chain, and a Record proves the whole log before it.
type Record struct {
	Position
	Prev     Mark      `json:"prev,string"`
	ID       uuid.UUID `json:"id"`
	Key      string    `json:"key"`
	Envelope string    `json:"envelope,omitempty"` // as published, in JSON, or redacted
	Personal bool      `json:"-"`                  // the envelope contains personal data
}

// Redact returns the envelope of r without its payload.
func (r Record) Redact() string {
	e, err := ParseEnvelope([]byte(r.Envelope))
	if err != nil { // consumers cannot read it either
		e = Envelope{Event: "unreadable", ID: r.ID, Key: r.Key, Version: 1}
	}
	e.Data, e.Redacted = redactedData, true
	text, err := jsonv2.Marshal(e)
	if err != nil {
		return ""
	}
	return string(text)
}

// Follows reports whether r comes next after p.
func (r Record) Follows(p Position) bool { return r.Pos == p.Pos+1 && r.Prev == p.Mark }

// Part is one part of a producer's log. Parts of one layout divide the keys
// among them; a change of their number begins a new layout, with parts whose
// numbers were never used before, and closes the parts of the old one.
type Part struct {
	Number int64    `json:"part,string"`
	Layout int64    `json:"layout"`
	Closed bool     `json:"closed"` // nothing is appended any more
	Head   Position `json:"head"`   // the last event
	Base   Position `json:"base"`   // the place before the first event that the log still holds
	// StreamKey seals the entries of the part's stream. It is known to the producer and to services with a token, and
	// not to Redis.
	StreamKey []byte `json:"streamKey"`
	// Known is the highest of the places asked about that is on this history.
	Known    Position `json:"known"`
	HasKnown bool     `json:"hasKnown"`
	// KnowsAll reports that all of the places asked about are on this history.
	KnowsAll bool `json:"knowsAll"`
}

// Len is the number of events that the log holds of the part.
func (p Part) Len() int64 { return p.Head.Pos - p.Base.Pos }

// Has reports whether the place at, which was asked about, is on this history. A place
// below the first that the log can check counts as on it.
func (p Part) Has(at Position) bool {
	return at.Pos < p.Base.Pos || (p.HasKnown && p.Known == at)
}

// Question asks a producer whether places are on its history.
type Question struct {
	Part   int64      `json:"part,string"`
	Places []Position `json:"places"` // at most MaxPlaces
}

// MaxPlaces is the most places that one Question may have.
const MaxPlaces = 33

// Page is a piece of one part of a log.
type Page struct {
	Known   bool     `json:"known"` // the producer has such a part
	Head    Position `json:"head"`
	Records []Record `json:"records"` // after the requested position, in order
}

// PageBytes and PageCount bound a Page; it has at least one Record if there is one.
const (
	PageBytes = 1 << 20
	PageCount = 512
)

// Source is the log of a producer, as consumers see it. Implementations are
// safe for concurrent use. An error means nothing about the state of the log.
type Source interface {
	// Ask returns the producer's parts in the order of their layouts, with the answers
	// to questions, as of one snapshot of the primary.
	Ask(ctx context.Context, producer string, questions []Question) ([]Part, error)
	// Read returns what the log holds of a part above pos.
	Read(ctx context.Context, producer string, part, pos int64) (Page, error)
	// Seek returns the position in a part after which the events since t are.
	Seek(ctx context.Context, producer string, part int64, t time.Time) (int64, error)
}
