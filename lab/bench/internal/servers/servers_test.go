package servers_test

import (
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/bench/internal/servers/serverstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, environ ...string) string {
	t.Helper()
	_, err := servers.Open(t.Context(), environ)
	if err == nil {
		t.Fatal("no error")
	}
	return err.Error()
}

func TestMissingServersAreNamed(t *testing.T) {
	t.Parallel()
	text := open(t, "HOME=/")
	for _, want := range []string{"TEST_POSTGRES_URL", "TEST_REDIS_URL", "make bench"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not mention %s", text, want)
		}
	}
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{
		{"TEST_POSTGRES_URL=postgres://u:hunter2@127.0.0.1:1/", "TEST_REDIS_URL=redis://:hunter2@%zz"},
		{"TEST_POSTGRES_URL=postgres://u:hunter2@127.0.0.1:x/", "TEST_REDIS_URL=redis://127.0.0.1:1"},
		{"TEST_POSTGRES_URL=postgres://u:hunter2@127.0.0.1:1/", "TEST_REDIS_URL=redis://127.0.0.1:1"},
	} {
		if text := open(t, environ...); strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", environ, text)
		}
	}
}

func TestDescribeNamesVersionsAndSettings(t *testing.T) {
	t.Parallel()
	got, err := serverstest.Open(t).Describe(t.Context())
	want := regexp.MustCompile(`^PostgreSQL \d\S* \(fsync on\), Redis \d\S* \(appendonly yes, fsync \w+\)$`)
	if err != nil || !want.MatchString(got) {
		t.Errorf("got %q, error %v", got, err)
	}
}
