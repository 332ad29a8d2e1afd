package console

import (
	"compress/gzip"
	"io"
	"net/http"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const protobuf = "application/x-protobuf"

// receive stores the spans that a service exports: OTLP over HTTP in protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). A web page cannot send that type
// to another origin.
func (t *traces) receive(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != protobuf {
		http.Error(w, "want "+protobuf, http.StatusUnsupportedMediaType)
		return
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, bodyLimit)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "the body is not gzip", http.StatusBadRequest)
			return
		}
		body = http.MaxBytesReader(w, io.NopCloser(unzipped), bodyLimit)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, "the body cannot be read, or is over 16 MiB", http.StatusBadRequest)
		return
	}
	var export otlp.TracesData // the same on the wire as an ExportTraceServiceRequest, without gRPC
	if err := proto.Unmarshal(text, &export); err != nil {
		http.Error(w, "the body is not an export of traces", http.StatusBadRequest)
		return
	}
	t.add(export.GetResourceSpans())
	w.Header().Set("Content-Type", protobuf) // an empty ExportTraceServiceResponse
}
