package main

import (
	"io"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-memory", "1000", "-only", "drain,relay"}, "TEST_POSTGRES_URL"}, // accepted
		{[]string{"-only", "drain", "-write", "page.md"}, "-write"},
		{[]string{"-only", "drain,speed"}, "speed"},
	} {
		err := run(t.Context(), c.args, []string{"HOME=/"}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
}
