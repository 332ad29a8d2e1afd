package serviceclient

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const longText = 256 // bytes kept of each text of a remote problem

// readAll reads a body to its end, so that the connection can be used again, unless it is longer than limit.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, err
}

// decode decodes the body of a 2xx response into out. Unknown fields are ignored.
func decode(status int, body []byte, out any) error {
	if _, nothing := out.(*struct{}); nothing || out == nil || status == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// problem holds the members that are used of a remote application/problem+json.
type problem struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	RequestID string `json:"requestId"`
}

// parseProblem returns the members it finds; the response need not be from one of our services.
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
