package archtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/testkit/archtest"
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
		rule archtest.Rule
		want []string
	}{
		"downwards":     {archtest.Tiers([]string{"low"}, []string{"high"}), nil},
		"upwards":       {archtest.Tiers([]string{"high"}, []string{"low"}), []string{"high: tier 0 imports low of tier 1"}},
		"sideways":      {archtest.Tiers([]string{"high", "low"}), []string{"high: tier 0 imports low of tier 0"}},
		"no tier":       {archtest.Tiers([]string{"low"}), []string{"high: has no tier"}},
		"tag in place":  {archtest.Only(archtest.Tag("gorm"), "low"), nil},
		"tag elsewhere": {archtest.Only(archtest.Tag("gorm"), "high"), []string{"low: has a struct tag gorm"}},
		"tag's value":   {archtest.Only(archtest.Tag("name")), nil},
		"tag kept out":  {archtest.Never(archtest.Tag("json"), "low"), []string{"low: has a struct tag json"}},
		"tag allowed":   {archtest.Never(archtest.Tag("json"), "high"), nil},
		"import":        {archtest.Only(archtest.Import("net/http/httptest")), []string{"low: imports net/http/httptest"}},
		"import below":  {archtest.Only(archtest.Import("net/http")), []string{"low: imports net/http"}},
		"renamed":       {archtest.Only(archtest.Use("os.Getenv")), []string{"high: uses os.Getenv"}},
		"goroutine":     {archtest.Only(archtest.Goroutine), []string{"high: starts a goroutine"}},
		"panic":         {archtest.Only(archtest.Panic), []string{"low: calls panic"}},
		"init":          {archtest.Only(archtest.Init), []string{"low: has a func init"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &spy{TB: t}
			archtest.Check(s, "testdata/module", tc.rule)
			if diff := cmp.Diff(tc.want, s.faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
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

	archtest.Environment(t, "testdata/env.example", load("8081"), "OTHER_URL")

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
			archtest.Environment(s, "testdata/env.example", load(tc.port), tc.others...)
			got := strings.ReplaceAll(strings.Join(s.faults, "\n"), "\u00a0", " ")
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q in it", got, tc.want)
			}
		})
	}
}
