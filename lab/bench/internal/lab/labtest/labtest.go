// Package labtest opens a lab for a test.
package labtest

import (
	"log/slog"
	"testing"

	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/pkg/testkit"
)

// Open returns a lab with a separate database, until the test ends.
func Open(t testing.TB) *lab.Lab {
	t.Helper()
	name := lab.NewName()
	testkit.CreateDatabase(t, name)
	l, err := lab.Open(t.Context(), testkit.Config(t), name, testkit.Redis(t).Options(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
