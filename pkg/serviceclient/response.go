package serviceclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	firstRead  = 2 << 10  // bytes set aside for an answer of unknown length
	pooledSize = 64 << 10 // longer buffers are not kept
	longText   = 256      // bytes kept of a remote problem's texts
)

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readAll reads an answer to its end, so that the connection can be used again, unless it is longer than limit.
func readAll(resp *http.Response, buf []byte, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return buf, ErrTooLarge
	}
	// One byte more than expected, so that the end is seen without growing.
	buf = slices.Grow(buf[:0], int(max(resp.ContentLength, firstRead))+1)
	for {
		n, err := resp.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf, ErrTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) == cap(buf):
			buf = slices.Grow(buf, len(buf))
		}
	}
}

// decode takes over a 2xx answer. Fields that out does not have are ignored.
func decode(status int, body []byte, out any) error {
	if _, nothing := out.(*struct{}); nothing || out == nil || status == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// problem is what is used of a remote application/problem+json.
type problem struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	RequestID string `json:"requestId"`
}

// parseProblem takes what it finds; an error answer need not be one of ours.
func parseProblem(body []byte) problem {
	var p problem
	if json.Unmarshal(body, &p) != nil {
		return problem{}
	}
	return problem{Error: clip(p.Error), Code: clip(p.Code), RequestID: clip(p.RequestID)}
}

func clip(s string) string { return s[:min(len(s), longText)] }

// parseRetryAfter reads both forms of RFC 9110 section 10.2.3; 0 for anything else.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
