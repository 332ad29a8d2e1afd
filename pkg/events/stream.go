package events

import (
	"fmt"
	"strconv"
	"strings"
)

// StreamName returns the Redis stream of one part of a service's events in an
// environment. The braces make it one hash slot of a Redis Cluster.
func StreamName(env, service string, part int64) string {
	return fmt.Sprintf("%s:events:{%s:%d}", env, service, part)
}

// WakeChannel returns the Redis channel on which instances of a service hint to
// each other that there is something to do: to relays that an event was
// committed, to consumers that an instance has stopped.
func WakeChannel(env, service string) string {
	return fmt.Sprintf("%s:events:wake:%s", env, service)
}

// MaxEntry is the most bytes of an envelope that a stream entry carries. A
// larger one stays in the log alone; the entry only announces it.
const MaxEntry = 16 << 10

// Fields of a stream entry. Its id is "0-<position>".
const (
	fieldMark     = "m"
	fieldPrev     = "p"
	fieldEnvelope = "e" // absent if it is personal or over MaxEntry
	fieldHeader   = "h" // the redacted envelope of a personal event
	fieldSeal     = "s"
)

// EntryID returns the id of the entry at a position.
func EntryID(pos int64) string { return "0-" + strconv.FormatInt(pos, 10) }

// ParseEntryID returns the position of an entry, false for an id that no relay
// writes.
func ParseEntryID(id string) (int64, bool) {
	digits, ok := strings.CutPrefix(id, "0-")
	if !ok {
		return 0, false
	}
	pos, err := strconv.ParseInt(digits, 10, 64)
	return pos, err == nil && pos > 0
}

// EncodeEntry returns the fields of r's entry as XADD takes them.
func EncodeEntry(s *Sealer, r Record) []any {
	e := NewEntry(r)
	fields := []any{fieldMark, int64(e.Mark), fieldPrev, int64(e.Prev), fieldSeal, s.seal(e)}
	switch {
	case r.Personal:
		fields = append(fields, fieldHeader, e.Envelope)
	case e.Envelope != "":
		fields = append(fields, fieldEnvelope, e.Envelope)
	}
	return fields
}

// Entry is a stream entry as it was read. Nothing in it is proved but by its seal.
type Entry struct {
	Position
	Prev     Mark
	Envelope string // redacted or "" if the entry only announces it
	Seal     string // of the [Sealer]
}

// NewEntry returns the entry of r, without its seal.
func NewEntry(r Record) Entry {
	e := Entry{Position: r.Position, Prev: r.Prev, Envelope: r.Envelope}
	switch {
	case r.Personal:
		e.Envelope = r.Redact()
	case len(r.Envelope) > MaxEntry:
		e.Envelope = ""
	}
	return e
}

// DecodeEntry reads an entry. The second result is false for one that no relay
// writes.
func DecodeEntry(id string, values map[string]any) (Entry, bool) {
	pos, ok := ParseEntryID(id)
	if !ok {
		return Entry{}, false
	}
	mark, okMark := parseMark(values[fieldMark])
	prev, okPrev := parseMark(values[fieldPrev])
	envelope, ok := values[fieldEnvelope].(string)
	if !ok {
		envelope, _ = values[fieldHeader].(string)
	}
	if len(envelope) > MaxEntry {
		return Entry{}, false
	}
	seal, _ := values[fieldSeal].(string)
	return Entry{Position{pos, mark}, prev, envelope, seal}, okMark && okPrev
}

func parseMark(v any) (Mark, bool) {
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return Mark(n), err == nil
}
