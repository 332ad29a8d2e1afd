package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
)

// Failure is a step that came out otherwise than expected.
type Failure struct {
	Expected, Came string
	Trace          string // of the request, in the form of X-Trace-ID
}

// Error is the failure on two or three lines.
func (f *Failure) Error() string {
	text := fmt.Sprintf("  expected: %s\n  came:     %s", f.Expected, f.Came)
	if f.Trace != "" {
		text += "\n  trace:    " + f.Trace
	}
	return text
}

// answer is what a service answered.
type answer struct {
	request string
	status  int
	header  http.Header
	body    map[string]any
	raw     string
	took    time.Duration
	trace   string
}

func (a answer) text(key string) string {
	text, _ := a.body[key].(string)
	return text
}

func (a answer) number(key string) float64 {
	number, _ := a.body[key].(float64)
	return number
}

func (a answer) failure(expected string) error {
	return &Failure{
		Expected: a.request + ": " + expected,
		Came:     fmt.Sprintf("%d %s", a.status, a.raw),
		Trace:    a.trace,
	}
}

func (a answer) want(status int) error {
	if a.status != status {
		return a.failure(fmt.Sprint(status))
	}
	return nil
}

func (s *Story) expect(ctx context.Context, status int, method, service, path string, body any) (answer, error) {
	a, err := s.call(ctx, method, service, path, body)
	if err != nil {
		return a, err
	}
	return a, a.want(status)
}

// call sends a request as gateway does. Only a request that gets no answer is an
// error.
func (s *Story) call(ctx context.Context, method, service, path string, body any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.urls[service]+path, &payload)
	if err != nil {
		return answer{}, err
	}
	token, err := s.Token(service)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set(serviceauth.Header, token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	a := answer{request: method + " " + path}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, &Failure{Expected: a.request + ": an answer of " + service, Came: err.Error()}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	a.took = time.Since(began)
	a.status, a.header, a.trace = resp.StatusCode, resp.Header, resp.Header.Get("X-Trace-ID")
	a.raw = strings.TrimSpace(string(raw))
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &a.body)
	}
	if err != nil {
		return a, &Failure{Expected: a.request + ": a JSON object", Came: a.raw + ": " + err.Error(), Trace: a.trace}
	}
	return a, nil
}

// rest is the pause between two looks at something that takes its time.
func rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}
