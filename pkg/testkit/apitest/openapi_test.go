package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

// spy is a test that fails without failing the one that watches it.
type spy struct {
	testing.TB
	faults []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	api := apitest.OpenAPI(t, "testdata/openapi.yaml")

	api.Routes(t, []httpserver.Route{{Method: "GET", Path: "/things/:id"}})

	s := &spy{TB: t}
	api.Routes(s, []httpserver.Route{{Method: "PUT", Path: "/things/:id"}})
	want := []string{
		"PUT /things/{id} is served, but not described",
		"GET /things/{id} is described, but not served",
	}
	if diff := cmp.Diff(want, s.faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	api := apitest.OpenAPI(t, "testdata/openapi.yaml")
	const id = "0199aa3e-7c00-7000-8000-000000000001"
	for name, tc := range map[string]struct {
		url    string
		status int
		body   string
		want   string
	}{
		"described":        {"/things/" + id + "?big=true", 200, `{"name":"a"}`, ""},
		"missing field":    {"/things/" + id, 200, `{}`, "answered, but not described"},
		"field too many":   {"/things/" + id, 200, `{"name":"a","size":1}`, "answered, but not described"},
		"another status":   {"/things/" + id, 201, `{"name":"a"}`, "answered, but not described"},
		"another path":     {"/thing", 200, `{"name":"a"}`, "GET /thing: "},
		"bad query":        {"/things/" + id + "?big=maybe", 200, `{"name":"a"}`, "accepted, but not described"},
		"bad id":           {"/things/1", 200, `{"name":"a"}`, "accepted, but not described"},
		"refused":          {"/things/" + id + "?big=maybe", 400, `{"code":"invalid_query"}`, ""},
		"refused, bare":    {"/things/" + id + "?big=maybe", 400, `{}`, "answered, but not described"},
		"not served":       {"/thing", 404, `{"code":"not_found"}`, ""},
		"not served, bare": {"/thing", 404, `{}`, "GET /thing: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &spy{TB: t}
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			got := api.Call(s, handler, httptest.NewRequest(http.MethodGet, tc.url, nil))
			if got.Status != tc.status || got.Body != tc.body {
				t.Errorf("got %+v, want what the handler answered", got)
			}
			switch faults := strings.Join(s.faults, "\n"); {
			case tc.want == "" && faults != "":
				t.Errorf("got %s, want no fault", faults)
			case !strings.Contains(faults, tc.want):
				t.Errorf("got %q, want %q", faults, tc.want)
			}
		})
	}
}
