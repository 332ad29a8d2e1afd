package testkit

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was exported.
type Span struct {
	Service, Name     string
	Kind              string // "SERVER", "CLIENT", …
	Trace, ID, Parent string // hexadecimal; Parent is "" for a root
	State             string
	Links             []string // the ids of the linked spans
	Attributes        map[string]string
	Failed            bool
}

// Spans receives spans by OTLP/HTTP.
type Spans struct {
	URL string // of the endpoint, for OTEL_EXPORTER_OTLP_ENDPOINT

	mu    sync.Mutex
	spans []Span
}

// NewSpans returns a receiver that listens on loopback until the test ends.
func NewSpans(t testing.TB) *Spans {
	t.Helper()
	s := &Spans{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", s.receive)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// All returns what was received.
func (s *Spans) All() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
}

func (s *Spans) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var sent collector.TracesData // the same on the wire as an export request
	if err != nil || proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range sent.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.spans = append(s.spans, newSpan(service, span))
			}
		}
	}
}

func newSpan(service string, s *collector.Span) Span {
	span := Span{
		Service: service, Name: s.GetName(), Kind: s.GetKind().String()[len("SPAN_KIND_"):],
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()), State: s.GetTraceState(), Attributes: map[string]string{},
		Failed: s.GetStatus().GetCode() == collector.Status_STATUS_CODE_ERROR,
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(l.GetSpanId()))
	}
	for _, a := range s.GetAttributes() {
		span.Attributes[a.GetKey()] = a.GetValue().String()
	}
	return span
}
