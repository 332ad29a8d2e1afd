package serviceclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// steady is a breaker that these tests do not open.
var steady = breaker.Config{Failures: 1 << 20}

func TestWhatIsRetried(t *testing.T) {
	t.Parallel()
	in := account{"1", "Ann"}
	calls := map[string]func(context.Context, *serviceclient.Client) error{
		"get": func(ctx context.Context, c *serviceclient.Client) error {
			_, err := serviceclient.Get[account](ctx, c, "/")
			return err
		},
		"put": func(ctx context.Context, c *serviceclient.Client) error {
			_, err := serviceclient.Put[account](ctx, c, "/", in)
			return err
		},
		"delete": func(ctx context.Context, c *serviceclient.Client) error { return serviceclient.Delete(ctx, c, "/") },
		"post": func(ctx context.Context, c *serviceclient.Client) error {
			_, err := serviceclient.Post[account](ctx, c, "/", in)
			return err
		},
		"patch": func(ctx context.Context, c *serviceclient.Client) error {
			_, err := serviceclient.Patch[account](ctx, c, "/", in)
			return err
		},
		"post with key": func(ctx context.Context, c *serviceclient.Client) error {
			_, err := serviceclient.Post[account](ctx, c, "/", in, serviceclient.WithKey("order-7"))
			return err
		},
	}
	for _, row := range []struct {
		verb     string
		status   int
		attempts int64
	}{
		{"get", 500, 3}, {"get", 503, 3}, {"put", 502, 3}, {"delete", 504, 3}, {"post with key", 500, 3},
		{"post", 500, 1}, {"patch", 503, 1},
		{"get", 501, 1}, {"get", 404, 1}, {"get", 429, 1}, {"delete", 409, 1},
	} {
		t.Run(row.verb+" "+http.StatusText(row.status), func(t *testing.T) {
			t.Parallel()
			var attempts atomic.Int64
			b := setup(t, serviceclient.Config{Breaker: steady}, serve(t, func(w http.ResponseWriter, r *http.Request) {
				attempts.Add(1)
				if row.verb == "post with key" && r.Header.Get("Idempotency-Key") != "order-7" {
					t.Errorf("Idempotency-Key: %q", r.Header.Get("Idempotency-Key"))
				}
				reply(row.status, "")(w, r)
			}))
			err := calls[row.verb](t.Context(), b.Client)
			if serviceclient.StatusOf(err) != row.status || attempts.Load() != row.attempts {
				t.Errorf("%d attempts, want %d; %v", attempts.Load(), row.attempts, err)
			}
		})
	}
}

func TestPostIsRetriedOnConnectionRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{}, dead(t), serve(t, reply(201, ann)))
	for range 10 {
		if _, err := serviceclient.Post[account](t.Context(), b.Client, "/users", account{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that dies with the request in hand may have acted on it. net/http would repeat the request by itself,
// seeing the Idempotency-Key.
func TestPostIsNotRepeatedOnABrokenConnection(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]any{"with a body": account{}, "without": nil} {
		var posts atomic.Int64
		b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				reply(200, ann)(w, r)
				return
			}
			posts.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}))
		if _, err := get(t, b, "/users/1"); err != nil { // so that the POST reuses a connection
			t.Fatal(err)
		}
		_, err := serviceclient.Post[account](t.Context(), b.Client, "/users", body)
		if err == nil || posts.Load() != 1 {
			t.Errorf("%s: %d posts arrived; %v", name, posts.Load(), err)
		}
	}
}

func TestRetryGoesToAnotherInstance(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	broken := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, again := seen.LoadOrStore(r.Header.Get("X-Request-Id")+name, true); again {
				t.Error("the same instance twice in one call")
			}
			reply(500, "")(w, r)
		}
	}
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 3}},
		serve(t, broken("a")), serve(t, broken("b")), serve(t, reply(200, ann)))
	for range 10 { // at most 20 retries, which the reserve allows
		if _, err := get(t, b, "/users/1"); err != nil {
			t.Fatal(err)
		}
	}
	if b.Breaker().State() != breaker.Closed {
		t.Error("two broken instances of three opened the breaker")
	}
}

func TestBudgetBoundsAmplification(t *testing.T) {
	t.Parallel()
	const calls = 200
	var attempts atomic.Int64
	b := setup(t, serviceclient.Config{Breaker: steady}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		attempts.Add(1)
		reply(500, "")(w, r)
	}))
	for range calls {
		if _, err := get(t, b, "/users/1"); err == nil {
			t.Fatal("no error")
		}
	}
	if n := attempts.Load(); n <= calls || n > calls*125/100 {
		t.Errorf("%d attempts for %d calls", n, calls)
	}
}

// script answers attempts without a network, so that waits can be the bubble's.
type script func(attempt int, r *http.Request) (*http.Response, error)

type scripted struct {
	play  script
	times []time.Time
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.times = append(s.times, time.Now())
	return s.play(len(s.times), r)
}

func answer(status int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(ann)), ContentLength: -1}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// refusal is how our services turn a call away.
func refusal(retryAfter string) *http.Response {
	resp := answer(503, "Retry-After", retryAfter, "Content-Type", "application/problem+json")
	resp.Body = io.NopCloser(strings.NewReader(`{"code":"overloaded"}`))
	return resp
}

// A service that turns calls away works: it is asked again when it says, at most 5 s
// later, and not at all before.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"2": 2 * time.Second, "5": 5 * time.Second, "6": 0, "3600": 0, "2147483647": 0} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{play: func(n int, _ *http.Request) (*http.Response, error) {
					if n == 1 {
						return refusal(value), nil
					}
					return answer(200), nil
				}}
				b := setupOver(t, s, serviceclient.Config{Timeout: 20 * time.Second}, "http://a:1")
				_, err := get(t, b, "/")
				if want == 0 {
					if serviceclient.CodeOf(err) != "overloaded" || len(s.times) != 1 {
						t.Errorf("%d attempts: %v", len(s.times), err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if wait := s.times[1].Sub(s.times[0]); wait != want {
					t.Errorf("waited %v, want %v", wait, want)
				}
			})
		})
	}
}

// One instance turns calls away: another is asked at once, the first is left alone
// for a while, and neither breaker nor registry holds it against the service.
func TestRefusedCallGoesToAnotherInstanceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		s := &scripted{}
		s.play = func(_ int, r *http.Request) (*http.Response, error) {
			asked[r.URL.Host]++
			if r.URL.Host == "busy:1" {
				return refusal("5"), nil
			}
			return answer(200), nil
		}
		b := setupOver(t, s, serviceclient.Config{Breaker: breaker.Config{Failures: 1}}, "http://busy:1", "http://idle:1")
		began := time.Now()
		for range 50 {
			if _, err := get(t, b, "/"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 || asked["busy:1"] > 1 {
			t.Errorf("50 calls took %v, the busy instance was asked %d times", took, asked["busy:1"])
		}
		if b.Breaker().State() != breaker.Closed {
			t.Error("refusals opened the breaker")
		}
	})
}

// Another service has taken over the address of one instance. It refuses the token, and
// the call, even one that must not be repeated, goes to an instance of the target.
func TestWrongServiceAtAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{}
		s.play = func(_ int, r *http.Request) (*http.Response, error) {
			if r.URL.Host == "taken:1" {
				return answer(401, "X-Service-Name", "mail-service", "Content-Type", "application/problem+json"), nil
			}
			return answer(200, "X-Service-Name", target), nil
		}
		b := setupOver(t, s, serviceclient.Config{}, "http://taken:1", "http://own:1")
		for range 20 {
			if _, err := serviceclient.Post[map[string]any](t.Context(), b.Client, "/", map[string]string{}); err != nil {
				t.Fatal(err)
			}
		}
		lone := setupOver(t, s, serviceclient.Config{}, "http://taken:1")
		if _, err := get(t, lone, "/"); !errors.Is(err, serviceclient.ErrWrongService) {
			t.Errorf("got %v, want ErrWrongService", err)
		}
	})
}

func TestNoRetryPastTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(int, *http.Request) (*http.Response, error) {
			return refusal("4"), nil
		}}
		b := setupOver(t, s, serviceclient.Config{Timeout: 4 * time.Second}, "http://a:1")
		began := time.Now()
		_, err := get(t, b, "/")
		if len(s.times) != 1 || time.Since(began) != 0 || serviceclient.StatusOf(err) != 503 {
			t.Errorf("%d attempts in %v: %v", len(s.times), time.Since(began), err)
		}
	})
}

func TestBackoffIsShortAndRandom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			s := &scripted{play: func(int, *http.Request) (*http.Response, error) { return answer(500), nil }}
			b := setupOver(t, s, serviceclient.Config{Breaker: steady}, "http://a:1")
			_, _ = get(t, b, "/")
			first, second := s.times[1].Sub(s.times[0]), s.times[2].Sub(s.times[1])
			if first > 25*time.Millisecond || second > 50*time.Millisecond {
				t.Errorf("waits of %v and %v", first, second)
			}
			waits[first] = true
		}
		if len(waits) < 10 {
			t.Errorf("only %d different waits of 20", len(waits))
		}
	})
}

func TestTotalDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		b := setupOver(t, s, serviceclient.Config{Retries: 9}, "http://a:1", "http://b:1", "http://c:1")
		began := time.Now()
		_, err := get(t, b, "/")
		if took := time.Since(began); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("took %v: %v", took, err)
		}
		if len(s.times) != 3 {
			t.Errorf("%d attempts of 2 s in 5 s", len(s.times))
		}
	})
}

func TestNearerDeadlineOfTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(_ int, r *http.Request) (*http.Response, error) {
			if got := r.Header.Get("X-Request-Timeout-Ms"); got != "700" {
				t.Errorf("X-Request-Timeout-Ms: %s", got)
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		b := setupOver(t, s, serviceclient.Config{Breaker: breaker.Config{Failures: 1}}, "http://a:1")
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		_, err := serviceclient.Get[account](ctx, b.Client, "/")
		if !errors.Is(err, context.DeadlineExceeded) || len(s.times) != 1 {
			t.Errorf("%d attempts: %v", len(s.times), err)
		}
		if b.Breaker().State() != breaker.Closed {
			t.Error("the caller's own haste opened the breaker")
		}
	})
}
