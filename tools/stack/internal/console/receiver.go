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
	exportLimit = 4 << 20 // bytes, unzipped
	exportTime  = 10 * time.Second
	forwardTime = 5 * time.Second
	turnTime    = 3 * time.Second // with forwardTime less than exportTime
)

// receive stores the spans that a service exports: OTLP over HTTP in protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). A web page cannot send that type
// to another origin. It decodes one export at a time, which bounds its memory.
func (c *Console) receive(w http.ResponseWriter, r *http.Request) {
	if c.private && !isLoopback(r.Host) { // a name of another site can lead here (DNS rebinding)
		http.Error(w, "export to 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
		return
	}
	if r.Header.Get("Content-Type") != protobuf {
		http.Error(w, "want "+protobuf, http.StatusUnsupportedMediaType)
		return
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-r.Context().Done():
		return
	case <-time.After(turnTime):
		http.Error(w, "other exports are not over", http.StatusTooManyRequests) // sent again
		return
	}
	text, err := readExport(w, r)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		http.Error(w, "the body is over 4 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
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
	body := http.MaxBytesReader(w, r.Body, exportLimit)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = http.MaxBytesReader(w, unzipped, exportLimit)
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
