// Package front calls the services of a world as a person's client would:
// through their public ports, as the caller "gateway".
package front

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/e2e/world"
)

// Caller is the name by which a Front signs its tokens.
const Caller = "gateway"

// Front calls the services of one world. It may be used concurrently.
type Front struct {
	tb     testing.TB
	world  world.World
	client *http.Client
}

// New returns a front to w, whose connections end with the test.
func New(tb testing.TB, w world.World) *Front {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	tb.Cleanup(transport.CloseIdleConnections)
	return &Front{tb, w, &http.Client{Transport: transport, Timeout: 15 * time.Second}}
}

// Answer is a response, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

// Change is applied to a request before it is sent.
type Change func(*http.Request)

// Header sets a header, or removes it for the value "".
func Header(name, value string) Change {
	return func(r *http.Request) {
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
}

// Try sends one request to any instance, with a good token and a JSON body (nil for none; a
// []byte is sent as it is). Its error means that there was no answer.
func (f *Front) Try(service, method, path string, body any, changes ...Change) (Answer, error) {
	var content io.Reader = http.NoBody
	switch body := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		content = bytes.NewReader(text)
	}
	instances := f.world.Instances(service)
	if len(instances) == 0 {
		return Answer{}, fmt.Errorf("%s: no instance", service)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, instances[mathrand.IntN(len(instances))].URL+path, content)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Service-Token", Good(Caller, service).Sign(world.Secret))
	for _, change := range changes {
		change(req)
	}
	return f.send(req)
}

func (f *Front) send(req *http.Request) (Answer, error) {
	start := time.Now()
	resp, err := f.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return Answer{resp.StatusCode, resp.Header, text, time.Since(start)}, err
}

// Do is Try for a request that must be answered.
func (f *Front) Do(service, method, path string, body any, changes ...Change) Answer {
	f.tb.Helper()
	a, err := f.Try(service, method, path, body, changes...)
	if err != nil {
		f.tb.Fatalf("%s: %s %s: %v", service, method, path, err)
	}
	return a
}

// Get fetches a path that must exist and decodes its answer.
func Get[T any](f *Front, service, path string) T {
	f.tb.Helper()
	return Decode[T](f.tb, f.Do(service, http.MethodGet, path, nil), http.StatusOK)
}

// Decode checks the status of an answer and decodes its body.
func Decode[T any](tb testing.TB, a Answer, status int) T {
	tb.Helper()
	if a.Status != status {
		tb.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	v, err := Parse[T](a)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// Parse decodes an answer's body, whatever its status.
func Parse[T any](a Answer) (T, error) {
	var v T
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return v, fmt.Errorf("decode %q: %w", a.Body, err)
	}
	return v, nil
}

// Eventually is poll.Until for a test, which it fails. It works in a cleanup, too.
func Eventually(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	if err := poll.Until(context.Background(), limit, check); err != nil {
		tb.Fatal(err)
	}
}

// Unique returns the prefix with a random ending.
func Unique(prefix string) string { return prefix + "-" + rand.Text()[:12] }
