package console

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Bounds of what is stored.
const (
	storedTraces   = 500
	storedBytes    = 64 << 20
	spansPerTrace  = 500
	handlersOf     = 16      // services, of an event
	nameLimit      = 256     // bytes of a name or an id
	attributeLimit = 4 << 10 // bytes of a value
	shownTraces    = 50      // in the snapshot
)

// messageID is the attribute of a span that names an event.
const messageID = "messaging.message.id"

// stored is a span as it is stored.
type stored struct {
	id, parent, name, service, kind, event string
	begin, end                             time.Time
	failed                                 bool
	attributes                             map[string]string
	size                                   int // bytes, about
}

// traces holds the spans of the newest traces. It is safe for concurrent use.
type traces struct {
	mu       sync.Mutex
	byID     map[string][]stored
	order    []string                     // ids, the oldest first
	size     int                          // bytes
	handlers map[string]map[string]stored // last spans of handlers, by event and service
	events   []string                     // keys of handlers, the oldest first
	ignored  map[string]bool              // traces of background work
	dropped  []string                     // keys of ignored, the oldest first
}

func newTraces() *traces {
	return &traces{byID: map[string][]stored{}, handlers: map[string]map[string]stored{}, ignored: map[string]bool{}}
}

// add stores the spans of an export.
func (t *traces) add(export []*otlp.ResourceSpans) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, resource := range export {
		service := cmp.Or(attributes(resource.GetResource().GetAttributes())["service.name"], "unknown")
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				parent := len(s.GetParentSpanId())
				if len(s.GetTraceId()) != 16 || len(s.GetSpanId()) != 8 || parent != 0 && parent != 8 {
					continue // not valid by the specification
				}
				t.store(hex.EncodeToString(s.GetTraceId()), newStored(service, s))
			}
		}
	}
}

// store adds a span and drops the oldest traces.
func (t *traces) store(trace string, s stored) {
	if s.kind == "client" && s.parent == "" {
		t.ignore(trace)
	}
	if t.ignored[trace] || len(t.byID[trace]) >= spansPerTrace {
		return
	}
	if t.byID[trace] == nil {
		t.order = append(t.order, trace)
	}
	t.byID[trace] = append(t.byID[trace], s)
	t.size += s.size
	if s.kind == "consumer" && s.event != "" {
		if t.handlers[s.event] == nil {
			t.events = append(t.events, s.event)
			t.handlers[s.event] = map[string]stored{}
		}
		of := t.handlers[s.event]
		if _, known := of[s.service]; known || len(of) < handlersOf {
			of[s.service] = stored{begin: s.begin, end: s.end, failed: s.failed}
		}
	}
	for len(t.order) > storedTraces || t.size > storedBytes {
		t.drop(t.order[0])
	}
	for len(t.events) > storedTraces {
		delete(t.handlers, t.events[0])
		t.events = t.events[1:]
	}
}

// ignore drops a trace that a service has begun by calling another one, as consumers do
// that ask for a log every second: it would soon have replaced those of requests.
func (t *traces) ignore(trace string) {
	if t.ignored[trace] {
		return
	}
	t.ignored[trace] = true
	t.dropped = append(t.dropped, trace)
	t.drop(trace)
	for len(t.dropped) > storedTraces {
		delete(t.ignored, t.dropped[0])
		t.dropped = t.dropped[1:]
	}
}

func (t *traces) drop(trace string) {
	for _, s := range t.byID[trace] {
		t.size -= s.size
	}
	delete(t.byID, trace)
	t.order = slices.DeleteFunc(t.order, func(id string) bool { return id == trace })
}

func newStored(service string, s *otlp.Span) stored {
	kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
	values := attributes(s.GetAttributes())
	if text := s.GetStatus().GetMessage(); text != "" {
		values["error"] = cut(text, attributeLimit)
	}
	name, service := cut(s.GetName(), nameLimit), cut(service, nameLimit)
	size := 500 + len(name) + len(service)
	for name, value := range values {
		size += len(name) + len(value) + 100
	}
	return stored{
		size: size,
		id:   hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
		name: name, service: service, kind: kind, event: cut(values[messageID], nameLimit),
		begin: time.Unix(0, int64(s.GetStartTimeUnixNano())), end: time.Unix(0, int64(s.GetEndTimeUnixNano())),
		failed: s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR, attributes: values,
	}
}

// attributes returns attributes as texts.
func attributes(all []*common.KeyValue) map[string]string {
	values := map[string]string{}
	for _, a := range all {
		var text string
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			text = v.StringValue
		case *common.AnyValue_IntValue:
			text = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			text = fmt.Sprint(v.BoolValue)
		case *common.AnyValue_DoubleValue:
			text = fmt.Sprint(v.DoubleValue)
		default:
			text = a.GetValue().String()
		}
		values[cut(a.GetKey(), nameLimit)] = cut(text, attributeLimit)
	}
	return values
}

// cut returns at most limit bytes of text, and a sign if that is not all.
func cut(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// handling returns what the services did with an event, by their spans.
func (t *traces) handling(e event) []handling {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []handling
	for _, service := range slices.Sorted(maps.Keys(t.handlers[cut(e.ID, nameLimit)])) {
		s := t.handlers[cut(e.ID, nameLimit)][service]
		h := handling{Service: service, State: "done", Millis: millis(s.end.Sub(e.At))}
		if s.failed {
			h.State = "failed"
		}
		all = append(all, h)
	}
	return all
}

// newest returns the newest traces, the newest first.
func (t *traces) newest() []summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []summary
	for _, id := range slices.Backward(t.order) {
		if s := summarize(id, t.byID[id]); !s.background() && len(all) < shownTraces {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b summary) int { return b.At.Compare(a.At) })
	return all
}

// background reports whether s is a consumer that reads a producer's log.
func (s summary) background() bool { return strings.Contains(s.Name, "/events/log") }

// trace returns a trace with its spans.
func (t *traces) trace(id string) (details, bool) {
	t.mu.Lock()
	all := slices.Clone(t.byID[id])
	t.mu.Unlock()
	if all == nil {
		return details{}, false
	}
	d := details{summary: summarize(id, all)}
	d.Tree = tree(all, d.At)
	return d, true
}

// summarize describes a trace by its first span.
func summarize(id string, all []stored) summary {
	slices.SortFunc(all, func(a, b stored) int { return a.begin.Compare(b.begin) })
	s := summary{ID: id, Name: all[0].name, Service: all[0].service, At: all[0].begin, Spans: len(all)}
	var end time.Time
	for _, span := range all {
		if !slices.Contains(s.Services, span.service) {
			s.Services = append(s.Services, span.service)
		}
		if span.end.After(end) {
			end = span.end
		}
		s.Failed = s.Failed || span.failed
	}
	s.Millis = millis(end.Sub(s.At))
	return s
}

// tree returns spans depth first, those below a parent by their starts. Spans whose parent
// is not there are roots, as is the first span of a cycle of parents.
func tree(all []stored, began time.Time) []span {
	below := map[string][]int{} // indexes into all
	ids := map[string]bool{}
	for _, s := range all {
		ids[s.id] = true
	}
	for i, s := range all {
		parent := s.parent
		if !ids[parent] {
			parent = ""
		}
		below[parent] = append(below[parent], i)
	}
	var rows []span
	reached := make([]bool, len(all))
	var walk func(spans []int, depth int)
	walk = func(spans []int, depth int) {
		for _, i := range spans {
			if reached[i] {
				continue
			}
			reached[i] = true
			s := all[i]
			rows = append(rows, span{
				ID: s.id, Name: s.name, Service: s.service, Kind: s.kind, Depth: depth, Failed: s.failed,
				Offset: millis(s.begin.Sub(began)), Millis: millis(s.end.Sub(s.begin)), Attributes: s.attributes,
			})
			walk(below[s.id], depth+1)
		}
	}
	walk(below[""], 0)
	for i := range all {
		walk([]int{i}, 0)
	}
	return rows
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
