package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
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

func (s *spy) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
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

// A keyword that Check would ignore is an error, not a schema that allows everything.
func TestKeywordThatIsNotChecked(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	changed := strings.Replace(string(text), "{name: {type: string}}", "{name: {type: string, const: a}}", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &spy{TB: t}
	done := make(chan struct{})
	go func() { // Fatalf ends it
		defer close(done)
		apitest.OpenAPI(s, file)
	}()
	<-done
	if len(s.faults) != 1 || !strings.Contains(s.faults[0], "const") {
		t.Errorf("got %q, want an error that names the keyword", s.faults)
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
		"no body":          {"/things/" + id, 202, "", ""},
		"body too many":    {"/things/" + id, 202, `{"name":"a"}`, "answered, but not described"},
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
