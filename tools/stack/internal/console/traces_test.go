package console_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/go-troika/troika/tools/stack/internal/console"
)

const (
	serverSpan = otlp.Span_SPAN_KIND_SERVER
	call       = otlp.Span_SPAN_KIND_CLIENT
	internal   = otlp.Span_SPAN_KIND_INTERNAL
)

const traceA = "0102030405060708090a0b0c0d0e0f10"

var began = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// newSpan returns a span of trace that begins after and takes milliseconds.
func newSpan(trace, id, parent, name string, kind otlp.Span_SpanKind, after, takes int) *otlp.Span {
	bytesOf := func(text string) []byte {
		b, _ := hex.DecodeString(text)
		return b
	}
	start := began.Add(time.Duration(after) * time.Millisecond)
	return &otlp.Span{
		TraceId: bytesOf(trace), SpanId: bytesOf(id), ParentSpanId: bytesOf(parent), Name: name, Kind: kind,
		StartTimeUnixNano: uint64(start.UnixNano()),
		EndTimeUnixNano:   uint64(start.Add(time.Duration(takes) * time.Millisecond).UnixNano()),
	}
}

// export returns spans of a service as its exporter sends them.
func export(t *testing.T, service string, spans ...*otlp.Span) []byte {
	t.Helper()
	text, err := proto.Marshal(&otlp.TracesData{ResourceSpans: []*otlp.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{attribute("service.name", service)}},
		ScopeSpans: []*otlp.ScopeSpans{{Spans: spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func (b *bundle) export(body []byte, header map[string]string) int {
	b.t.Helper()
	all := map[string]string{"Content-Type": "application/x-protobuf"}
	for name, value := range header {
		all[name] = value
	}
	return b.status(http.MethodPost, b.receiver+"/v1/traces", all, body)
}

// trace is what the console returns of a trace.
type trace struct {
	Services []string
	Millis   float64
	Tree     []struct {
		Name, Service, Kind string
		Depth               int
		Offset, Millis      float64
		Attributes          map[string]string
	}
	Logs []struct{ Part, Text string }
}

func (b *bundle) trace(id string) (trace, int) {
	b.t.Helper()
	resp := b.send(http.MethodGet, b.page+"/traces/"+id, nil, nil)
	defer resp.Body.Close()
	var got trace
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			b.t.Fatal(err)
		}
	}
	return got, resp.StatusCode
}

func TestReceiverRefusesWhatIsNoExport(t *testing.T) {
	b := open(t)
	spans := export(t, "user-service", newSpan(traceA, "0000000000000001", "", "GET /users", serverSpan, 0, 1))
	traceB, long := strings.Repeat("b", 32), strings.Repeat("0a", 1000)
	longIDs := []*otlp.Span{
		newSpan(traceB, long, "", "long", serverSpan, 0, 1),
		newSpan(traceB, "0000000000000001", long, "long", serverSpan, 0, 1),
	}
	for _, c := range []struct {
		name   string
		body   []byte
		header map[string]string
		status int
	}{
		{"protobuf", spans, nil, 200},
		{"gzip", zipped(t, spans), map[string]string{"Content-Encoding": "gzip"}, 200},
		{"what a web page can send", spans, map[string]string{"Content-Type": "text/plain"}, 415},
		{"JSON", []byte("{}"), map[string]string{"Content-Type": "application/json"}, 415},
		{"not protobuf", []byte("not protobuf"), nil, 400},
		{"not gzip", spans, map[string]string{"Content-Encoding": "gzip"}, 400},
		{"a bomb", zipped(t, make([]byte, 64<<20)), map[string]string{"Content-Encoding": "gzip"}, 413},
		{"over 4 MiB", make([]byte, 5<<20), nil, 413},
		{"another site's name", spans, map[string]string{"Host": "console.example.com"}, 421},
		{"a span with long ids", export(t, "user-service", longIDs[0]), nil, 200},
		{"a span with a long parent", export(t, "user-service", longIDs[1]), nil, 200},
		{"a span without ids", export(t, "user-service", &otlp.Span{Name: "none"}), nil, 200},
		{"nothing", nil, nil, 200},
	} {
		if got := b.export(c.body, c.header); got != c.status {
			t.Errorf("%s: %d, want %d", c.name, got, c.status)
		}
	}
	if traces := b.snapshot()["traces"].([]any); len(traces) != 1 {
		t.Errorf("%d traces, want 1", len(traces))
	}
}

func TestExportsArePassedOn(t *testing.T) {
	next := 200
	var got []byte
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			next = http.StatusTeapot
		}
		w.WriteHeader(next)
	}))
	t.Cleanup(receiver.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	b := openWith(t, console.Config{Forward: receiver.URL})
	body := export(t, "user-service", newSpan(traceA, "0000000000000001", "", "GET /users", serverSpan, 0, 1))
	for _, c := range []struct{ next, status, stored int }{{503, 503, 404}, {200, 200, 200}} {
		next, got = c.next, nil
		if status := b.export(zipped(t, body), map[string]string{"Content-Encoding": "gzip"}); status != c.status {
			t.Errorf("the next receiver responds with %d: %d, want %d", c.next, status, c.status)
		}
		if _, status := b.trace(traceA); status != c.stored || !bytes.Equal(got, body) {
			t.Errorf("the trace: %d, want %d; passed on: %q", status, c.stored, got)
		}
	}
}

func TestTraceIsATreeWithItsLogLines(t *testing.T) {
	b := open(t)
	query := newSpan(traceA, "0000000000000003", "0000000000000002", "SELECT users", call, 3, 1)
	query.Attributes = []*common.KeyValue{attribute("db.system.name", "postgresql")}
	b.export(export(t, "user-service", query,
		newSpan(traceA, "0000000000000002", "0000000000000001", "GET /users/:id", serverSpan, 2, 4)), nil)
	b.export(export(t, "order-service",
		newSpan(traceA, "0000000000000004", "00000000000000ff", "a lost parent", internal, 9, 1),
		newSpan(traceA, "0000000000000001", "", "POST /orders", serverSpan, 0, 10)), nil)
	got, _ := b.trace(traceA)
	var rows []string
	for _, s := range got.Tree {
		rows = append(rows, fmt.Sprintf("%d %s %s %s %g+%g %v",
			s.Depth, s.Service, s.Kind, s.Name, s.Offset, s.Millis, s.Attributes))
	}
	want := []string{
		"0 order-service server POST /orders 0+10 map[]",
		"1 user-service server GET /users/:id 2+4 map[]",
		"2 user-service client SELECT users 3+1 map[db.system.name:postgresql]",
		"0 order-service internal a lost parent 9+1 map[]",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if len(got.Logs) != 1 || got.Logs[0].Part != "user-service" || got.Millis != 10 {
		t.Errorf("trace %+v", got)
	}
}

func TestCycleOfParentsEnds(t *testing.T) {
	b := open(t)
	b.export(export(t, "user-service",
		newSpan(traceA, "0000000000000001", "0000000000000002", "a", internal, 0, 1),
		newSpan(traceA, "0000000000000002", "0000000000000001", "b", internal, 0, 1),
		newSpan(traceA, "0000000000000003", "0000000000000003", "c", internal, 0, 1),
		newSpan(traceA, "0000000000000004", "", "d", internal, 0, 1),
		newSpan(traceA, "0000000000000004", "0000000000000005", "d", internal, 0, 1),
		newSpan(traceA, "0000000000000005", "0000000000000004", "e", internal, 0, 1)), nil)
	if got, status := b.trace(traceA); status != http.StatusOK || len(got.Tree) != 6 {
		t.Errorf("status %d, %d spans", status, len(got.Tree))
	}
}

func TestOldestTracesAreDropped(t *testing.T) {
	b := open(t)
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	for n := 1; n <= 501; n++ {
		span := newSpan(id(n), "0000000000000001", "", "GET /users", serverSpan, n, 1)
		b.export(export(t, "user-service", span), nil)
	}
	for n, want := range map[int]int{1: 404, 2: 200, 501: 200} {
		if _, status := b.trace(id(n)); status != want {
			t.Errorf("trace %d of 501: %d, want %d", n, status, want)
		}
	}
	if traces := b.snapshot()["traces"].([]any); len(traces) != 50 || traces[0].(map[string]any)["id"] != id(501) {
		t.Errorf("%d traces in the snapshot, the first is %v", len(traces), traces[0])
	}
}

// TestMemoryIsBounded sends traces of 2 MiB each.
func TestMemoryIsBounded(t *testing.T) {
	b := open(t)
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	for n := 1; n <= 40; n++ {
		span := newSpan(id(n), "0000000000000001", "", "GET /users", serverSpan, n, 1)
		for i := range 1000 {
			span.Attributes = append(span.Attributes, attribute(fmt.Sprint("a", i), strings.Repeat("é", 1100)))
		}
		b.export(export(t, "user-service", span), nil)
	}
	for n, want := range map[int]int{1: 404, 15: 200, 40: 200} {
		if _, status := b.trace(id(n)); status != want {
			t.Errorf("trace %d of 40: %d, want %d", n, status, want)
		}
	}
}

func TestNamesAreCut(t *testing.T) {
	b := open(t)
	long := strings.Repeat("é", 512)
	b.export(export(t, long, newSpan(traceA, "0000000000000001", "", long, serverSpan, 0, 1)), nil)
	got, _ := b.trace(traceA)
	if s := got.Tree[0]; len(s.Name) > 260 || len(s.Service) > 260 {
		t.Errorf("a name of %d bytes of a service of %d", len(s.Name), len(s.Service))
	}
}

func TestOneExportAtATime(t *testing.T) {
	b := open(t)
	body := export(t, "user-service", newSpan(traceA, "0000000000000001", "", "GET /users", serverSpan, 0, 1))
	slow, err := net.Dial("tcp", strings.TrimPrefix(b.receiver, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"+
		"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(slow).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatal(line, err) // the body is awaited
	}
	if got := b.export(body, nil); got != http.StatusTooManyRequests {
		t.Errorf("an export while another is received: %d, want 429", got)
	}
	_ = slow.Close()
	if got := b.export(body, nil); got != http.StatusOK {
		t.Errorf("after it: %d, want 200", got)
	}
}

func TestReceiverOfContainersTakesTheirNames(t *testing.T) {
	b := openWith(t, console.Config{Receiver: "0.0.0.0:0"})
	if got := b.export(nil, map[string]string{"Host": "console:4318"}); got != http.StatusOK {
		t.Error("status", got)
	}
}

// TestBackgroundIsNoTrace: a consumer asks for the logs of producers every second.
func TestBackgroundIsNoTrace(t *testing.T) {
	b := open(t)
	ask := newSpan(traceA, "0000000000000001", "", "POST user-service", call, 0, 2)
	answer := newSpan(traceA, "0000000000000002", "0000000000000001", "POST /events/log/ask", serverSpan, 1, 1)
	for range 2 { // in either order
		b.export(export(t, "user-service", answer), nil)
		b.export(export(t, "profile-service", ask), nil)
		if _, status := b.trace(traceA); status != http.StatusNotFound {
			t.Error("status", status)
		}
	}
}
