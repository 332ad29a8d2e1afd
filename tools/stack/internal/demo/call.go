package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
)

// Failure is an unexpected outcome of a step.
type Failure struct {
	Expected, Got string
	Trace         string // of the request, in the form of X-Trace-ID
}

// Error returns the failure on two or three lines.
func (f *Failure) Error() string {
	text := fmt.Sprintf("  expected: %s\n  got:      %s", f.Expected, f.Got)
	if f.Trace != "" {
		text += "\n  trace:    " + f.Trace
	}
	return text
}

// response is a service's response to a request.
type response struct {
	request    string // its method and path
	status     int
	retryAfter int // seconds
	trace      string
	raw        string
	took       time.Duration
	body       struct {
		ID              string
		Status          any // of an order; a number in a problem
		DisplayName     string
		CompletedOrders int
		Code            string
	}
}

func (r response) failure(expected string) error {
	return &Failure{
		Expected: r.request + ": " + expected,
		Got:      fmt.Sprintf("%d %s", r.status, r.raw),
		Trace:    r.trace,
	}
}

// expect sends a request and fails unless the response has this status.
func (s *Story) expect(ctx context.Context, status int, method, service, path string, body any) (response, error) {
	r, err := s.call(ctx, method, service, path, body)
	if err == nil && r.status != status {
		err = r.failure(fmt.Sprint(status))
	}
	return r, err
}

// call sends a request. Only a request without a response is an error.
func (s *Story) call(ctx context.Context, method, service, path string, body any) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r := response{request: method + " " + path}
	began := time.Now()
	resp, text, err := client.Send(ctx, s.Sign, service, method, s.urls[service]+path, body)
	r.took, r.raw = time.Since(began), strings.TrimSpace(string(text))
	if resp != nil {
		r.status, r.trace = resp.StatusCode, resp.Header.Get("X-Trace-ID")
		r.retryAfter, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
	}
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &r.body)
	}
	if err != nil {
		return r, &Failure{Expected: r.request + ": JSON from " + service, Got: r.raw + " " + err.Error(), Trace: r.trace}
	}
	return r, nil
}

// until repeats a request until the response is as wanted.
func (s *Story) until(
	ctx context.Context, expected string, send func(context.Context) (response, error), ok func(response) bool,
) (response, error) {
	for limit := time.Now().Add(s.Patience); ; {
		r, err := send(ctx)
		if err != nil || ok(r) {
			return r, err
		}
		if time.Now().After(limit) {
			return r, r.failure(expected + " within " + s.Patience.String())
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
