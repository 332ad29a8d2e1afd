package env_test

import (
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/env"
)

func TestIsServiceName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"gateway": true, "user-service": true, "s3": true, strings.Repeat("a", 40): true,
		"": false, "User": false, "3s": false, "a-": false, "-a": false, "a--b": false, "a_b": false, "a b": false,
		"a\n": false, "é": false, strings.Repeat("a", 41): false,
	} {
		if got := env.IsServiceName(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}
