package serviceclient_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestGet(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.String() != "/users/1?full=true" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		reply(200, ann)(w, r)
	}))
	got, err := get(t, b, "/users/1?full=true")
	if err != nil || got != (account{"1", "Ann"}) {
		t.Errorf("Get = %+v, %v", got, err)
	}
	if d := b.metrics.Health().Metrics.Dependencies[target]; d.Calls != 1 || d.Errors != 0 {
		t.Errorf("metrics: %+v", d)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	verifier := serviceauth.NewVerifier(keys(t), target)
	b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if who, err := verifier.Verify(r.Header); who != caller || err != nil {
			t.Errorf("token: %q, %v", who, err)
		}
		for name, want := range map[string]string{
			"X-Service-Name": caller, "X-Request-Id": "req-1", "Accept": "application/json",
			"Content-Type": "", "Idempotency-Key": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"Traceparent", "X-Trace-Id", "X-Parent-Span-Id"} {
			if r.Header.Get(name) == "" {
				t.Errorf("%s is missing", name)
			}
		}
		if left, err := time.ParseDuration(r.Header.Get("X-Request-Timeout-Ms") + "ms"); err != nil || left <= 0 || left > 2*time.Second {
			t.Errorf("X-Request-Timeout-Ms: %v, %v", left, err)
		}
		reply(200, ann)(w, r)
	}))
	ctx := tracing.WithRequestID(t.Context(), "req-1")
	if _, err := serviceclient.Get[account](ctx, b.Client, "/users/1"); err != nil {
		t.Error(err)
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	var seen []string
	b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Method+" "+string(body))
		if (r.Header.Get("Idempotency-Key") != "") != (r.Method == "POST") {
			t.Errorf("%s has Idempotency-Key %q", r.Method, r.Header.Get("Idempotency-Key"))
		}
		if len(body) > 0 && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s has Content-Type %q", r.Method, r.Header.Get("Content-Type"))
		}
		if r.Method == "DELETE" {
			reply(204, "")(w, r)
			return
		}
		reply(201, ann)(w, r)
	}))
	ctx, in := t.Context(), account{"1", "Ann"}
	_, postErr := serviceclient.Post[account](ctx, b.Client, "/users", in)
	_, putErr := serviceclient.Put[account](ctx, b.Client, "/users/1", in)
	_, patchErr := serviceclient.Patch[account](ctx, b.Client, "/users/1", in)
	deleteErr := serviceclient.Delete(ctx, b.Client, "/users/1")
	if err := errors.Join(postErr, putErr, patchErr, deleteErr); err != nil {
		t.Error(err)
	}
	const sent = `{"id":"1","name":"Ann"}`
	if diff := cmp.Diff([]string{"POST " + sent, "PUT " + sent, "PATCH " + sent, "DELETE "}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestRemoteProblem(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		reply(404, `{"error":"No such user","code":"user_not_found","requestId":"req-9","status":404}`)(w, r)
	}))
	for range 20 { // a storm of 404s is no trouble of the service
		_, err := get(t, b, "/users/1?email=ann@example.org")
		e, ok := errors.AsType[*serviceclient.Error](err)
		if !ok {
			t.Fatalf("error is a %T: %v", err, err)
		}
		want := &serviceclient.Error{
			Service: target, Method: "GET", Path: "/users/1", Status: 404,
			Code: "user_not_found", Message: "No such user", RequestID: "req-9", RetryAfter: 7 * time.Second,
		}
		if diff := cmp.Diff(want, e, cmpopts.IgnoreUnexported(serviceclient.Error{})); diff != "" {
			t.Fatal(diff)
		}
		if serviceclient.StatusOf(err) != 404 {
			t.Fatalf("StatusOf = %d", serviceclient.StatusOf(err))
		}
	}
	if b.Breaker().State() != breaker.Closed {
		t.Error("404s opened the breaker")
	}
	if d := b.metrics.Health().Metrics.Dependencies[target]; d.Calls != 20 || d.Errors != 0 {
		t.Errorf("metrics: %+v", d)
	}
}

func TestOneLogLineWithoutSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{Retries: 1}, serve(t, reply(500, `{"error":"body text","code":"broken"}`)))
	_, err := get(t, b, "/users?email=ann@example.org")
	got := b.log.all()
	if len(got) != 1 {
		t.Fatalf("%d log lines: %q", len(got), got)
	}
	for _, want := range []string{"level=WARN", "target=user-service", "status=500", "error=broken", "path=/users ", "attempts=2"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("log line lacks %q: %s", want, got[0])
		}
	}
	for _, secret := range []string{"ann@", "body text", "eyJ"} {
		if strings.Contains(got[0], secret) {
			t.Errorf("log line has %q: %s", secret, got[0])
		}
	}
	if strings.Contains(err.Error(), "ann@") {
		t.Errorf("error has the query: %v", err)
	}
}

func TestNoInstance(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{})
	_, err := get(t, b, "/users/1")
	if !errors.Is(err, registry.ErrNotAvailable) || serviceclient.StatusOf(err) != 0 {
		t.Errorf("error: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	b := setup(t, serviceclient.Config{}, "http://127.0.0.1:1")
	if _, err := get(t, b, "@example.org/"); err == nil {
		t.Error("a path that would change the host is accepted")
	}
	_, err := serviceclient.Post[account](t.Context(), b.Client, "/users", func() {})
	if _, ok := errors.AsType[*json.UnsupportedTypeError](err); !ok {
		t.Errorf("a body that is no JSON: %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("followed") })
	b := setup(t, serviceclient.Config{}, serve(t, http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect).ServeHTTP))
	if _, err := get(t, b, "/users/1"); serviceclient.StatusOf(err) != http.StatusTemporaryRedirect {
		t.Errorf("error: %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	n := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		status := []int{200, 404, 409, 200}[n%4]
		reply(status, `{"error":"`+strings.Repeat("x", 10_000)+`"}`)(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	b := setup(t, serviceclient.Config{}, s.URL)
	for range 100 {
		_, _ = get(t, b, "/users/1")
	}
	if dials.Load() != 1 {
		t.Errorf("%d connections for calls one after the other", dials.Load())
	}
}
