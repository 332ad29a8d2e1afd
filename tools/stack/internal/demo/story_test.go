package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/demo"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// fake is a system of three services in one server, as the story sees it. Its
// fields are the ways in which it may be broken.
type fake struct {
	noBreaker  bool // user-service's absence is found out anew for every order
	slowRefuse time.Duration
	stuckOpen  bool // the breaker never closes
	uncounted  bool // completed orders do not reach the profile

	mu        sync.Mutex
	url       string
	killed    bool
	failures  int
	completed int
}

func (f *fake) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rw.Header().Set("X-Trace-ID", "0199aa3e-7c00-4000-8000-00000000000f")
	if r.Header.Get(serviceauth.Header) == "" {
		f.answer(rw, http.StatusUnauthorized, map[string]any{"code": "unauthenticated"})
		return
	}
	switch request := r.Method + " " + r.URL.Path; {
	case request == "POST /users":
		f.answer(rw, http.StatusCreated, map[string]any{"id": "u1"})
	case request == "GET /profiles/u1":
		f.answer(rw, http.StatusOK, map[string]any{"displayName": "Ada", "completedOrders": f.completed})
	case request == "POST /orders":
		f.placeOrder(rw)
	case request == "POST /orders/o1/complete":
		if !f.uncounted {
			f.completed++
		}
		f.answer(rw, http.StatusOK, map[string]any{"id": "o1"})
	default:
		f.answer(rw, http.StatusNotFound, map[string]any{"code": "not_found"})
	}
}

func (f *fake) placeOrder(rw http.ResponseWriter) {
	open := f.failures >= 3
	if !f.killed && !(open && f.stuckOpen) {
		f.failures = 0
		f.answer(rw, http.StatusCreated, map[string]any{"id": "o1", "status": "pending"})
		return
	}
	f.failures++
	rw.Header().Set("Retry-After", "1")
	if open && !f.noBreaker {
		rw.Header().Set("Retry-After", "3")
		<-time.After(f.slowRefuse)
	}
	f.answer(rw, http.StatusServiceUnavailable, map[string]any{"code": "user_service_unavailable"})
}

func (f *fake) answer(rw http.ResponseWriter, status int, body map[string]any) {
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(body)
}

func (f *fake) Status(context.Context) (stack.Status, error) {
	var s stack.Status
	for _, name := range []string{demo.User, demo.Order, demo.Profile} {
		s.Parts = append(s.Parts, stack.Part{Name: name, Service: name, URL: f.url})
	}
	return s, nil
}

func (f *fake) Chaos(_ context.Context, verb, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != demo.User {
		return fmt.Errorf("chaos on %s", name)
	}
	f.killed = verb == stack.Kill
	return nil
}

func (*fake) Logs(context.Context, io.Writer, bool, string) error { return nil }
func (*fake) Down(context.Context) error                          { return nil }

func play(t *testing.T, f *fake) (string, error) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	var out strings.Builder
	token := func(audience string) (string, error) { return "for-" + audience, nil }
	err := (&demo.Story{Stack: f, Sign: token, Out: &out, Patience: 200 * time.Millisecond}).Play(t.Context())
	return out.String(), err
}

func TestStoryPasses(t *testing.T) {
	t.Parallel()
	out, err := play(t, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out, "\ndemo passed: 5 of 5\n") {
		t.Errorf("the story ends otherwise:\n%s", out)
	}
}

func TestReportNamesTheFailure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		fake    *fake
		step    string
		says    string
		noTrace bool
	}{
		{"no breaker", &fake{noBreaker: true}, "step 4 of 5", "an open breaker", false},
		{"a slow breaker", &fake{slowRefuse: 60 * time.Millisecond}, "step 4 of 5", "refusals within 50ms", true},
		{"a breaker that stays open", &fake{stuckOpen: true}, "step 5 of 5", "201 from the half-open breaker", false},
		{"a lost event", &fake{uncounted: true}, "step 5 of 5", "completedOrders 1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := play(t, test.fake)
			failure := new(demo.Failure)
			if !errors.As(err, &failure) {
				t.Fatalf("Play: %v, want a failure", err)
			}
			if !strings.Contains(err.Error(), test.step) || !strings.Contains(failure.Expected, test.says) {
				t.Errorf("Play: %v\nwant it to say %q and %q", err, test.step, test.says)
			}
			if (failure.Trace == "") != test.noTrace {
				t.Errorf("trace %q", failure.Trace)
			}
		})
	}
}
