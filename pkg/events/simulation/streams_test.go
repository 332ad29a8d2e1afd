package simulation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/relay"
)

// stream is a key of Redis.
type stream struct {
	entries   []events.Entry
	generated int64
	foreign   bool // not a stream
}

// streams is Redis.
type streams struct {
	server
	byPart map[int64]*stream
	full   bool
	saved  map[int64]*stream // a replica that is behind, or an old dump
}

var errFull = errors.New("OOM command not allowed when used memory > 'maxmemory'")

func (s *streams) copied() map[int64]*stream {
	byPart := make(map[int64]*stream, len(s.byPart))
	for part, st := range s.byPart {
		c := *st
		c.entries = slices.Clone(st.entries)
		byPart[part] = &c
	}
	return byPart
}

// any returns one of the streams that exist.
func (w *system) anyStream() (int64, *stream) {
	parts := slices.Sorted(maps.Keys(w.redis.byPart))
	if len(parts) == 0 {
		return 0, &stream{}
	}
	part := parts[w.random.IntN(len(parts))]
	return part, w.redis.byPart[part]
}

// relayStreams is Redis as a relay of the process uses it.
type relayStreams struct {
	*system
	process *process
}

// Ends implements relay.Streams.
func (r relayStreams) Ends(_ context.Context, parts []int64) (ends []relay.End, err error) {
	err = r.exchange(r.process, &r.redis.server, func() {
		ends = make([]relay.End, len(parts))
		for i, part := range parts {
			s := r.redis.byPart[part]
			if s == nil {
				continue
			}
			ends[i] = relay.End{Exists: true, Generated: s.generated, Foreign: s.foreign || len(s.entries) == 0}
			if len(s.entries) > 0 {
				ends[i].Last = s.entries[len(s.entries)-1].Position
			}
		}
	})
	return ends, err
}

// Append implements relay.Streams. Streams are appended to one after the other, and
// so a crash may come between.
func (r relayStreams) Append(_ context.Context, batches []relay.Batch, limit int64) (refused []int64, err error) {
	for _, b := range batches {
		part, full := b.Part.Number, false
		err := r.exchange(r.process, &r.redis.server, func() {
			if full = r.redis.full; full {
				return
			}
			if !r.redis.add(part, b.Records, limit) {
				refused = append(refused, part)
			}
			r.notify(part)
		})
		if full {
			err = errFull
		}
		if err != nil {
			return nil, err
		}
	}
	return refused, nil
}

// add reports whether the stream took all records.
func (s *streams) add(part int64, records []events.Record, limit int64) bool {
	st := s.byPart[part]
	if st == nil {
		st = &stream{}
		s.byPart[part] = st
	}
	if st.foreign {
		return false
	}
	all := true
	for _, rec := range records {
		if rec.Pos <= st.generated {
			all = false
			continue
		}
		st.entries = append(st.entries, events.NewEntry(rec))
		st.generated = rec.Pos
	}
	st.entries = st.entries[max(int64(len(st.entries))-limit, 0):]
	return all
}

// Delete implements relay.Streams.
func (r relayStreams) Delete(_ context.Context, parts []int64) error {
	return r.exchange(r.process, &r.redis.server, func() {
		for _, part := range parts {
			delete(r.redis.byPart, part)
		}
	})
}

// consumerStreams is Redis as a consumer of the process uses it.
type consumerStreams struct {
	*system
	process *process
}

// Open implements consumer.Streams.
func (c consumerStreams) Open(_ string, part int64) consumer.StreamReader {
	return streamReader{c, part}
}

type streamReader struct {
	consumerStreams
	part int64
}

const (
	readBlock = 500 * time.Millisecond
	readCount = 4
)

// Read implements consumer.StreamReader.
func (r streamReader) Read(_ context.Context, _ events.Part, pos int64) (entries []events.Entry, err error) {
	read := func() {
		s := r.redis.byPart[r.part]
		if s == nil {
			return
		}
		if s.foreign {
			err = errors.New("WRONGTYPE")
			return
		}
		i := 0
		for i < len(s.entries) && s.entries[i].Pos <= pos {
			i++
		}
		entries = slices.Clone(s.entries[i:min(i+readCount, len(s.entries))])
	}
	if away := r.exchange(r.process, &r.redis.server, read); away != nil || err != nil || len(entries) > 0 {
		return entries, errors.Join(away, err)
	}
	r.await(r.part, readBlock)
	return nil, nil
}

// Close implements consumer.StreamReader.
func (streamReader) Close() error { return nil }
