// Package serverstest opens the servers for a test.
package serverstest

import (
	"os"
	"testing"

	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/pkg/testkit"
)

// Open returns the servers of the tests, until the test ends.
func Open(t testing.TB) *servers.Servers {
	t.Helper()
	testkit.Config(t) // starts servers if none are named
	s, err := servers.Open(t.Context(), os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
