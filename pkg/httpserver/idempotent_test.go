package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
)

// passes reports whether a request with these lines of Idempotency-Key is let
// through.
func passes(t testing.TB, lines ...string) (passed bool) {
	t.Helper()
	c, engine := gin.CreateTestContext(httptest.NewRecorder())
	engine.POST("/", httpserver.Idempotent(), func(*gin.Context) { passed = true })
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	c.Request.Header["Idempotency-Key"] = lines
	engine.HandleContext(c)
	return passed
}

func TestIdempotent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lines  []string
		passed bool
	}{
		"none":             {nil, true},
		"one character":    {[]string{"k"}, true},
		"all of ASCII":     {[]string{` !"#$%&'()*+,-./09:;<=>?@AZ[\]^_az{|}~`}, true},
		"longest":          {[]string{strings.Repeat("k", 255)}, true},
		"too long":         {[]string{strings.Repeat("k", 256)}, false},
		"empty":            {[]string{""}, false},
		"two lines":        {[]string{"k", "k"}, false},
		"control":          {[]string{"k\t"}, false},
		"delete character": {[]string{"k\x7f"}, false},
		"not ASCII":        {[]string{"ключ"}, false},
		"not UTF-8":        {[]string{"k\xff"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if passed := passes(t, tc.lines...); passed != tc.passed {
				t.Errorf("let through: %t, want %t", passed, tc.passed)
			}
		})
	}
}

func FuzzIdempotent(f *testing.F) {
	f.Add("0199aa3e-7c00-7000-8000-00000000000b")
	f.Add("\x00")
	f.Add("é")
	f.Fuzz(func(t *testing.T, line string) {
		if !passes(t, line) {
			return
		}
		if line == "" || len(line) > 255 {
			t.Errorf("accepted %q", line)
		}
		for i := range len(line) {
			if line[i] < ' ' || line[i] > '~' {
				t.Errorf("accepted %q with byte %#x", line, line[i])
			}
		}
	})
}
