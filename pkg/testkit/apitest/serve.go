package apitest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
)

// Service is a service under test. It is safe for concurrent use.
type Service struct {
	*chassis.Chassis
	// Data is another handle to the service's database, for tests to look into.
	Data *database.DB
	api  *API
}

// Start opens app for a test: on a separate database and on the tests' Redis, wired as in
// production. Requests go through [Service.Call], without a network; neither relay nor
// consumer runs. file is the service's OpenAPI document; variables ("KEY=value") are added
// to the environment.
func Start[C chassis.Configuration](t testing.TB, app chassis.App[C], file string, variables ...string) *Service {
	t.Helper()
	document, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	app.OpenAPI = document
	appEnv := "t" + strings.ToLower(rand.Text()[:19]) // the environment is part of the database's name
	// The first connection to a new database may take seconds while other tests keep Postgres busy.
	environ := append(testkit.Environ(t), "APP_ENV="+appEnv, "PORT=0", "ADMIN_PORT=0", "SERVICE_SECRET="+secret, "DB_POOL_ACQUIRE=5s")
	ch, err := app.Open(t.Context(), append(environ, variables...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ch.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	name := database.Name(ch.Config.Service, appEnv)
	testkit.CreateMigrated(t, name, app.Schema)
	return &Service{Chassis: ch, Data: testkit.Open(t, name), api: OpenAPI(t, file)}
}

// gateway is the caller of requests that a test expects to be refused.
const gateway = "gateway"

const secret = "a-secret-that-is-only-used-in-tests"

// Keys returns the keys with which services and callers of a test sign and verify.
func Keys(t testing.TB) serviceauth.Keys {
	t.Helper()
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(secret)}, gateway, "test")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Documented fails t unless the OpenAPI document describes exactly the service's routes,
// and the responses of those that every service has.
func (s *Service) Documented(t testing.TB) {
	t.Helper()
	s.api.Routes(t, s.HTTP.Routes())
	for _, path := range []string{"/health", "/livez", "/readyz", "/openapi.yaml", "/docs", "/no/such/route"} {
		s.Call(t, "", http.MethodGet, path, "")
	}
	if !slices.ContainsFunc(s.HTTP.Routes(), func(r httpserver.Route) bool { return r.Path == "/events/log" }) {
		return
	}
	asked := s.Call(t, "a-service", http.MethodPost, "/events/log/ask", `{"questions":[]}`)
	s.Call(t, "", http.MethodPost, "/events/log/ask", `{"questions":[]}`)
	s.Call(t, "a-service", http.MethodPost, "/events/log/ask", `{"questions":[{"part":"1","places":[]}],"x":1}`)
	parts := Decode[struct{ Parts []struct{ Part string } }](t, asked, http.StatusOK).Parts
	for _, part := range []string{"1", parts[0].Part, "x"} {
		s.Call(t, "a-service", http.MethodGet, "/events/log?after=0&part="+part, "")
		s.Call(t, "a-service", http.MethodGet, "/events/log/position?since=2026-01-02T03:04:05Z&part="+part, "")
	}
}

// Call sends a request of caller, "" for one without a token, with a JSON body, "" for
// none, and returns the response. header holds names and values in turn. A response that
// the OpenAPI document does not allow fails t.
func (s *Service) Call(t testing.TB, caller, method, target, body string, header ...string) Answer {
	t.Helper()
	return s.api.Call(t, s.HTTP, s.Request(t, caller, method, target, body, header...))
}

// Request returns the request that [Service.Call] sends.
func (s *Service) Request(t testing.TB, caller, method, target, body string, header ...string) *http.Request {
	t.Helper()
	name := s.Config.Service
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+name+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// Each request has another client address, or refused ones would wait for those before them.
	r.RemoteAddr = fmt.Sprintf("127.%d.%d.%d:1", mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if caller != "" {
		token, err := serviceauth.NewSigner(Keys(t), caller).Token(name)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(serviceauth.Header, token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// Decode returns the body of a response; another status than the wanted one ends t.
func Decode[T any](t testing.TB, a Answer, status int) T {
	t.Helper()
	if a.Status != status {
		t.Fatalf("got %d %s, want %d", a.Status, a.Body, status)
	}
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Problem is the body of an error response.
type Problem struct {
	Code   string
	Errors []struct{ Field, Message string }
}

// Refuses fails t unless the gateway's request gets an error with status and code.
func (s *Service) Refuses(t testing.TB, status int, code, method, target, body string, header ...string) Problem {
	t.Helper()
	p := Decode[Problem](t, s.Call(t, gateway, method, target, body, header...), status)
	if p.Code != code {
		t.Errorf("%s %s %s: got code %s, want %s", method, target, body, p.Code, code)
	}
	return p
}

// Published returns the names and keys of the events published so far ("user.created 1").
func (s *Service) Published(t testing.TB) []string {
	t.Helper()
	names := []string{}
	for _, e := range testkit.Published(t, s.Data) {
		names = append(names, e.Event+" "+e.Key)
	}
	return names
}
