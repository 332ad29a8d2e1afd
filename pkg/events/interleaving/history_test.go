package interleaving

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// history is a producer's log of one part, and its stream.
type history struct {
	mu      sync.Mutex
	records []events.Record
}

const part = 7

// add appends an event of a key.
func (h *history) add(event, key string, n int) events.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, _ := json.Marshal(entry{key, n})
	e := events.Envelope{Event: event, Data: data, Timestamp: time.Now(), Service: producer, ID: uuid.Must(uuid.NewV7()), Key: key, Version: 1}
	raw, _ := json.Marshal(e)
	head := h.head()
	r := events.Record{
		Position: events.Position{Pos: head.Pos + 1, Mark: events.Mark(head.Pos + 1000)}, Prev: head.Mark,
		ID: e.ID, Key: key, Envelope: string(raw),
	}
	h.records = append(h.records, r)
	return r
}

func (h *history) head() events.Position {
	if len(h.records) == 0 {
		return events.Position{}
	}
	return h.records[len(h.records)-1].Position
}

// Ask implements events.Source.
func (h *history) Ask(_ context.Context, _ string, questions []events.Question) ([]events.Part, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := events.Part{Number: part, Layout: 1, Head: h.head(), KnowsAll: true}
	for _, q := range questions {
		for _, at := range q.Places {
			known := at == events.Position{} || slices.ContainsFunc(h.records, func(r events.Record) bool { return r.Position == at })
			p.KnowsAll = p.KnowsAll && known
			if known && at.Pos >= p.Known.Pos {
				p.Known, p.HasKnown = at, true
			}
		}
	}
	return []events.Part{p}, nil
}

// above returns the records behind a position.
func (h *history) above(pos int64) []events.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records[min(int(pos), len(h.records)):])
}

// Read implements events.Source.
func (h *history) Read(_ context.Context, _ string, _, pos int64) (events.Page, error) {
	records := h.above(pos)
	h.mu.Lock()
	defer h.mu.Unlock()
	return events.Page{Known: true, Head: h.head(), Records: records}, nil
}

// Seek implements events.Source.
func (*history) Seek(context.Context, string, int64, time.Time) (int64, error) { return 0, nil }

// Open implements consumer.Streams.
func (h *history) Open(string, int64) consumer.StreamReader { return stream{h} }

// stream holds what the log holds.
type stream struct{ *history }

// Read implements consumer.StreamReader; it does not wait.
func (s stream) Read(_ context.Context, _ events.Part, pos int64) ([]events.Entry, error) {
	var entries []events.Entry
	for _, r := range s.above(pos) {
		entries = append(entries, events.Entry{Position: r.Position, Prev: r.Prev, Envelope: r.Envelope})
	}
	return entries, nil
}

// Close implements consumer.StreamReader.
func (stream) Close() error { return nil }
