package serviceclient_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// raw writes text to the connection, bare, and closes it.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.Copy(buf, strings.NewReader(text))
		_ = buf.Flush()
	}
}

// drip sends an endless answer, a byte now and then, until the client is gone.
func drip(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			_, _ = w.Write([]byte(" "))
			_ = out.Flush()
		}
	}
}

// chunked sends body without saying how long it is.
func chunked(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, body)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestFaultyAnswers(t *testing.T) {
	t.Parallel()
	anything := func(err error) bool { return err != nil }
	isEOF := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
	isTimeout := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	isTooLarge := func(err error) bool { return errors.Is(err, serviceclient.ErrTooLarge) }
	isSyntax := func(err error) bool {
		_, syntax := errors.AsType[*json.SyntaxError](err)
		_, wrongType := errors.AsType[*json.UnmarshalTypeError](err)
		return syntax || wrongType
	}
	long := strings.Repeat("x", 4000)
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		match  func(error) bool
		opens  bool // a service that always answers so is broken
	}{
		"closes without a word":  {raw(""), isEOF, true},
		"not HTTP":               {raw("hello, world\r\n\r\n"), anything, true},
		"header cut short":       {raw("HTTP/1.1 200 OK\r\nContent-Le"), anything, true},
		"body cut short":         {raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"id\":"), isEOF, true},
		"chunk cut short":        {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"id"), isEOF, true},
		"hangs":                  {hang, isTimeout, true},
		"never ends":             {drip, isTimeout, true},
		"too long, and says so":  {reply(200, `"`+long+`"`), isTooLarge, false},
		"too long, in chunks":    {chunked(long), isTooLarge, false},
		"garbage":                {reply(200, "<html>"), isSyntax, false},
		"two values":             {reply(200, ann+ann), isSyntax, false},
		"another shape":          {reply(200, `["Ann"]`), isSyntax, false},
		"empty":                  {reply(200, ""), isSyntax, false},
		"garbage with an error":  {reply(500, "<html>"), func(err error) bool { return serviceclient.StatusOf(err) == 500 }, true},
		"too long with an error": {reply(500, long), func(err error) bool { return serviceclient.StatusOf(err) == 500 && isTooLarge(err) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, serviceclient.Config{
				AttemptTimeout: 150 * time.Millisecond, Retries: -1, MaxBody: 2000, Breaker: breaker.Config{Failures: 2},
			}, serve(t, row.answer))
			for range 2 {
				if _, err := get(t, b, "/users/1"); !row.match(err) {
					t.Errorf("error: %v", err)
				}
			}
			if opened := b.Breaker().State() == breaker.Open; opened != row.opens {
				t.Errorf("breaker open: %v, want %v", opened, row.opens)
			}
		})
	}
}

func TestLongestAnswerAllowed(t *testing.T) {
	t.Parallel()
	body := fmt.Sprintf(`{"id":"1","name":%q}`, strings.Repeat("x", 3000))
	for name, h := range map[string]http.HandlerFunc{
		"of known length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			reply(200, body)(w, r)
		},
		"in chunks": chunked(body),
	} {
		b := setup(t, serviceclient.Config{MaxBody: int64(len(body))}, serve(t, h))
		if got, err := get(t, b, "/users/1"); err != nil || len(got.Name) != 3000 {
			t.Errorf("%s: %d bytes, %v", name, len(got.Name), err)
		}
	}
}

func TestOpenBreakerRefusesAtOnce(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 3, Cooldown: time.Minute, Jitter: -1}},
		serve(t, func(w http.ResponseWriter, r *http.Request) { arrived.Add(1); reply(500, "")(w, r) }))
	for range 3 {
		if _, err := get(t, b, "/users/1"); serviceclient.StatusOf(err) != 500 {
			t.Fatalf("a call that opens it: %v", err)
		}
	}
	began := time.Now()
	for range 1000 {
		_, err := get(t, b, "/users/1")
		e, _ := errors.AsType[*serviceclient.Error](err)
		if !errors.Is(err, breaker.ErrOpen) || e.RetryAfter <= 50*time.Second || e.RetryAfter > time.Minute {
			t.Fatalf("error: %#v", err)
		}
	}
	if took := time.Since(began); took > 5*time.Second { // the race detector on a busy machine included
		t.Errorf("1000 refusals took %v", took)
	}
	if lines := b.log.all(); len(lines) != 4 { // three failed calls and the transition
		t.Errorf("%d lines in the log, want 4; the last: %s", len(lines), lines[len(lines)-1])
	}
	if arrived.Load() != 9 {
		t.Errorf("%d attempts arrived, want 9 of three calls", arrived.Load())
	}
}

func TestBreakerClosesAfterReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{play: func(n int, _ *http.Request) (*http.Response, error) {
			if n <= 9 {
				return answer(500), nil
			}
			return answer(200), nil
		}}
		cooldown := breaker.Config{Failures: 3, Cooldown: 30 * time.Second, Jitter: -1}
		b := setupOver(t, s, serviceclient.Config{Breaker: cooldown}, "http://a:1")
		for range 3 {
			_, _ = get(t, b, "/users/1")
		}
		if b.Breaker().State() != breaker.Open {
			t.Fatal("not open")
		}
		time.Sleep(30 * time.Second)
		if _, err := get(t, b, "/users/1"); err != nil || b.Breaker().State() != breaker.Closed {
			t.Errorf("%s: %v", b.Breaker().State(), err)
		}
	})
}

func TestCallersThatHangUp(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	b := setup(t, serviceclient.Config{Breaker: breaker.Config{Failures: 1}}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		hang(w, r)
	}))
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		if _, err := serviceclient.Get[account](ctx, b.Client, "/users/1"); !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	}
	if b.Breaker().State() != breaker.Closed {
		t.Error("the breaker opened")
	}
	if d := b.metrics.Health().Metrics.Dependencies[target]; d.Calls != 5 || d.Errors != 0 {
		t.Errorf("metrics: %+v", d)
	}
}

func TestBulkhead(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	b := setup(t, serviceclient.Config{Concurrency: 2, Breaker: breaker.Config{Failures: 1}}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		reply(200, ann)(w, r)
	}))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := get(t, b, "/users/1"); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	if _, err := get(t, b, "/users/1"); !errors.Is(err, serviceclient.ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	exposed(t, b, `http_client_refused_total{reason="bulkhead",server_address="user-service"} 1`)
	close(leave)
	wg.Wait()
	go func() { <-entered }()
	if _, err := get(t, b, "/users/1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("transport") }

func TestPanicFreesEverything(t *testing.T) {
	t.Parallel()
	b := setupOver(t, panics{}, serviceclient.Config{Concurrency: 1, Breaker: steady}, "http://a:1")
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic came through")
				}
			}()
			_, _ = get(t, b, "/users/1")
		}()
	}
	if n := b.registry.Instances(target)[0].InFlight; n != 0 {
		t.Errorf("%d calls still in flight", n)
	}
}

// A half-closed connection: the server has sent its FIN after a whole answer, and the client must not use it again.
func TestHalfClosedConnection(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ann), ann)
		_ = buf.Flush()
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		_, _ = bufio.NewReader(conn).ReadByte() // until the client is gone too
	}))
	for range 20 {
		if _, err := get(t, b, "/users/1"); err != nil {
			t.Fatal(err)
		}
	}
}
