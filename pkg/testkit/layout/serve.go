package layout

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Service is a service's HTTP side, without a network, held to its OpenAPI
// document: every call is checked by API.Call. It is safe for concurrent use.
type Service struct {
	name   string
	api    *API
	server *httpserver.Server
	keys   serviceauth.Keys
}

// Serve makes the service name with the routes that add registers and the
// OpenAPI document in file.
func Serve(t testing.TB, name, file string, add func(gin.IRouter, *serviceauth.Verifier)) *Service {
	t.Helper()
	s := &Service{name: name, api: OpenAPI(t, file), keys: Keys(t)}
	s.server = httpserver.New(httpserver.Config{}, httpserver.Deps{
		Service: name, Log: slog.New(slog.DiscardHandler), Tracer: &tracing.Tracer{}, Metrics: metrics.New(name),
	})
	add(s.server.Router(), serviceauth.NewVerifier(s.keys, name))
	return s
}

// Keys are those with which callers and services of a test sign and verify.
func Keys(t testing.TB) serviceauth.Keys {
	t.Helper()
	secret := env.NewSecret(serviceauth.DemoSecret)
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: secret}, "test")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Call has the service answer a request of caller, "" for one without a token,
// with a JSON body, "" for none. header holds names and values in turn.
func (s *Service) Call(t testing.TB, caller, method, target, body string, header ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.name+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if caller != "" {
		token, err := serviceauth.NewSigner(s.keys, caller).Token(s.name)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(serviceauth.Header, token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.api.Call(t, s.server, r)
}

// Decode reads the body of an answer with the wanted status; another status
// ends the test.
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
