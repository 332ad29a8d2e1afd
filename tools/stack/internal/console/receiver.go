package console

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	protobuf    = "application/x-protobuf"
	forwardTime = 5 * time.Second
)

// receive stores the spans that a service exports: OTLP over HTTP in protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). A web page cannot send that type
// to another origin.
func (c *Console) receive(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != protobuf {
		http.Error(w, "want "+protobuf, http.StatusUnsupportedMediaType)
		return
	}
	text, err := readExport(w, r)
	if err != nil {
		http.Error(w, "the body cannot be read, or is over 16 MiB", http.StatusBadRequest)
		return
	}
	var export otlp.TracesData // the same on the wire as an ExportTraceServiceRequest, without gRPC
	if err := proto.Unmarshal(text, &export); err != nil {
		http.Error(w, "the body is not an export of traces", http.StatusBadRequest)
		return
	}
	if c.cfg.Forward != "" {
		if err := forward(r.Context(), c.cfg.Forward, text); err != nil {
			http.Error(w, "the next receiver does not take it", http.StatusServiceUnavailable) // sent again
			return
		}
	}
	c.traces.add(export.GetResourceSpans())
	w.Header().Set("Content-Type", protobuf) // an empty ExportTraceServiceResponse
}

func readExport(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body := http.MaxBytesReader(w, r.Body, bodyLimit)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = http.MaxBytesReader(w, unzipped, bodyLimit)
	}
	return io.ReadAll(body)
}

// forward sends an export to another receiver.
func forward(ctx context.Context, to string, export []byte) error {
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to+"/v1/traces", bytes.NewReader(export))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", protobuf)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body) // to use the connection again
	return err
}
