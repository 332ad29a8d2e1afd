package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
)

const (
	shownEvents  = 60      // in the snapshot
	shownDead    = 50      // of each consumer
	payloadLimit = 2 << 10 // bytes of a payload that are shown
)

// feed follows the logs of the producers. It is used by one goroutine.
type feed struct {
	after  map[string]int64 // by producer and partition: the last position read
	events []event          // the oldest first
}

// logPart is a partition of a producer's log.
type logPart struct {
	Part string
	Head struct {
		Pos int64 `json:",string"`
	}
	Base struct {
		Pos int64 `json:",string"`
	}
}

// heads returns the partitions of a producer's log; ok is false if it publishes no events.
func (c *Console) heads(ctx context.Context, producer, url string) (parts []logPart, ok bool, err error) {
	var answer struct{ Parts []logPart }
	body := map[string]any{"questions": []any{}}
	status, err := c.ask(ctx, c.cfg.Operator, producer, http.MethodPost, url+"/events/log/ask", body, &answer)
	if status == http.StatusNotFound {
		return nil, false, nil
	}
	return answer.Parts, err == nil, err
}

// follow reads the events that a producer has logged since the last call. It skips to the
// newest when there are more than are shown.
func (c *Console) follow(ctx context.Context, producer, url string, parts []logPart) error {
	for _, p := range parts {
		place := producer + ":" + p.Part
		after, known := c.feed.after[place]
		if known && after > p.Head.Pos { // a database of the past was restored
			known = false
		}
		if oldest := max(p.Base.Pos, p.Head.Pos-shownEvents); !known || after < oldest {
			after = oldest
		}
		if after < p.Head.Pos {
			var page struct {
				Records []struct {
					Pos      int64 `json:",string"`
					Envelope string
				}
			}
			path := fmt.Sprintf("%s/events/log?part=%s&after=%d", url, p.Part, after)
			if _, err := c.ask(ctx, c.cfg.Operator, producer, http.MethodGet, path, nil, &page); err != nil {
				return err
			}
			for _, r := range page.Records {
				after = r.Pos
				c.feed.add(producer, p.Part, r.Pos, r.Envelope)
			}
		}
		c.feed.after[place] = after
	}
	return nil
}

// add decodes an envelope and keeps the newest events.
func (f *feed) add(producer, partition string, position int64, envelope string) {
	var e struct {
		Event, ID, Key, Traceparent string
		Timestamp                   time.Time
		Data                        json.RawMessage
		Erases                      bool
	}
	if json.Unmarshal([]byte(envelope), &e) != nil {
		e.Event, e.Data = "unreadable", nil
	}
	if len(e.Data) > payloadLimit {
		e.Data, _ = json.Marshal(strings.ToValidUTF8(string(e.Data[:payloadLimit]), "") + "…")
	}
	if e.Erases { // as the log does with the payloads of the key
		for i := range f.events {
			if f.events[i].Service == producer && f.events[i].Key == e.Key {
				f.events[i].Data = json.RawMessage(`"redacted"`)
			}
		}
	}
	f.events = append(f.events, event{
		Place: fmt.Sprintf("%s %s %d", producer, partition, position), ID: e.ID, Event: e.Event,
		Service: producer, Key: e.Key, At: e.Timestamp, Trace: traceOf(e.Traceparent), Data: e.Data,
		partition: partition, position: position,
	})
	slices.SortStableFunc(f.events, func(a, b event) int { return a.At.Compare(b.At) })
	f.events = f.events[max(0, len(f.events)-shownEvents):]
}

// traceOf returns the trace id of a traceparent, "" if it has none.
func traceOf(traceparent string) string {
	if fields := strings.Split(traceparent, "-"); len(fields) == 4 {
		return fields[1]
	}
	return ""
}

// consumption is what a consumer reports of itself.
type consumption struct {
	Consumer string
	Paused   bool
	Offsets  []offset
	Parked   map[string]int64
	dead     []parked
}

// offset is how far a consumer has read a partition.
type offset struct {
	Service, Partition string
	Position           int64
}

// position returns how far the consumer has read a partition; ok is false if it does not.
func (s consumption) position(service, partition string) (pos int64, ok bool) {
	for _, o := range s.Offsets {
		if o.Service == service && o.Partition == partition {
			return o.Position, true
		}
	}
	return 0, false
}

// consumption returns the state of a consumer; ok is false if the service consumes no events.
func (c *Console) consumption(ctx context.Context, name, admin string) (s consumption, ok bool, err error) {
	status, err := c.ask(ctx, c.cfg.Operator, name, http.MethodGet, admin+"/events/status", nil, &s)
	if status == http.StatusNotFound {
		return s, false, nil
	}
	if err != nil || s.Parked["dead"] == 0 {
		return s, err == nil, err
	}
	var page struct{ Items []parked }
	_, err = c.ask(ctx, c.cfg.Operator, name, http.MethodGet, admin+"/events/parked?state=dead", nil, &page)
	for _, p := range page.Items[:min(len(page.Items), shownDead)] {
		p.Consumer = name
		s.dead = append(s.dead, p)
	}
	return s, err == nil, err
}

var (
	errLacks   = errors.New("the service does not have this route")
	errRefused = errors.New("the service does not accept the console's token; see STACK_KEYS and SERVICE_SECRET")
)

// ask sends a request with a token of the caller that sign signs for, and decodes the JSON
// of its response into the pointer into. The services do not record it as a trace.
func (c *Console) ask(
	ctx context.Context, sign client.Signer, service, method, url string, body, into any,
) (status int, err error) {
	if _, lacks := c.lacks.Load(url); lacks {
		return http.StatusNotFound, errLacks
	}
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	resp, text, err := client.Send(ctx, sign, service, method, url, body, unrecorded())
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusNotFound:
		c.lacks.Store(url, true)
		return http.StatusNotFound, errLacks
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return resp.StatusCode, fmt.Errorf("%s: %s: %w", service, resp.Status, errRefused)
	case resp.StatusCode != http.StatusOK:
		return resp.StatusCode, fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return resp.StatusCode, json.Unmarshal(text, into)
}
