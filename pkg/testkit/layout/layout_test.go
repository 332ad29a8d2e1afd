package layout_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/testkit/layout"
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

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rule layout.Rule
		want []string
	}{
		"downwards":     {layout.Tiers([]string{"low"}, []string{"high"}), nil},
		"upwards":       {layout.Tiers([]string{"high"}, []string{"low"}), []string{"high: tier 0 imports low of tier 1"}},
		"sideways":      {layout.Tiers([]string{"high", "low"}), []string{"high: tier 0 imports low of tier 0"}},
		"no tier":       {layout.Tiers([]string{"low"}), []string{"high: has no tier"}},
		"tag in place":  {layout.Only(layout.Tag("gorm"), "low"), nil},
		"tag elsewhere": {layout.Only(layout.Tag("gorm"), "high"), []string{"low: has a struct tag gorm"}},
		"tag's value":   {layout.Only(layout.Tag("name")), nil},
		"tag kept out":  {layout.Never(layout.Tag("json"), "low"), []string{"low: has a struct tag json"}},
		"tag let in":    {layout.Never(layout.Tag("json"), "high"), nil},
		"import":        {layout.Only(layout.Import("net/http/httptest")), []string{"low: imports net/http/httptest"}},
		"import below":  {layout.Only(layout.Import("net/http")), []string{"low: imports net/http"}},
		"renamed":       {layout.Only(layout.Use("os.Getenv")), []string{"high: uses os.Getenv"}},
		"goroutine":     {layout.Only(layout.Goroutine), []string{"high: starts a goroutine"}},
		"panic":         {layout.Only(layout.Panic), []string{"low: calls panic"}},
		"init":          {layout.Only(layout.Init), []string{"low: has a func init"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &spy{TB: t}
			layout.Check(s, "testdata/module", tc.rule)
			if diff := cmp.Diff(tc.want, s.faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	api := layout.OpenAPI(t, "testdata/openapi.yaml")

	api.Routes(t, gin.RoutesInfo{{Method: "GET", Path: "/things/:id"}})

	s := &spy{TB: t}
	api.Routes(s, gin.RoutesInfo{{Method: "PUT", Path: "/things/:id"}})
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
	api := layout.OpenAPI(t, "testdata/openapi.yaml")
	for name, tc := range map[string]struct {
		url    string
		status int
		body   string
		want   string
	}{
		"described":      {"/things/1?big=true", 200, `{"name":"a"}`, ""},
		"missing field":  {"/things/1", 200, `{}`, "answered, but not described"},
		"field too many": {"/things/1", 200, `{"name":"a","size":1}`, "answered, but not described"},
		"another status": {"/things/1", 201, `{"name":"a"}`, "answered, but not described"},
		"another path":   {"/thing", 200, `{"name":"a"}`, "GET /thing: "},
		"bad query":      {"/things/1?big=maybe", 200, `{"name":"a"}`, "accepted, but not described"},
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

func TestEnvironment(t *testing.T) {
	t.Parallel()
	type config struct {
		HTTP struct {
			Port int `env:"PORT"`
		}
		Token env.Secret `env:"TOKEN" validate:"required"`
	}
	load := func(port string) func([]string) (config, error) {
		return func(environ []string) (config, error) { return env.Load[config](environ, "PORT="+port) }
	}

	layout.Environment(t, "testdata/env.example", load("8081"), "OTHER_URL")

	for name, tc := range map[string]struct {
		port   string
		others []string
		want   string
	}{
		"another default":  {"8082", []string{"OTHER_URL"}, "has other defaults than the code"},
		"unknown variable": {"8081", nil, `+ 	"OTHER_URL"`},
		"missing variable": {"8081", []string{"OTHER_URL", "THIRD"}, `- 	"THIRD"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &spy{TB: t}
			layout.Environment(s, "testdata/env.example", load(tc.port), tc.others...)
			got := strings.ReplaceAll(strings.Join(s.faults, "\n"), "\u00a0", " ")
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q in it", got, tc.want)
			}
		})
	}
}
