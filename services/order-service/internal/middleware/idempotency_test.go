package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/services/order-service/internal/middleware"
)

// serve answers the key that a request with these header lines carries, and
// whether it was let through.
func serve(t testing.TB, lines ...string) (key string, passed bool) {
	t.Helper()
	c, engine := gin.CreateTestContext(httptest.NewRecorder())
	engine.POST("/", middleware.Idempotency(), func(c *gin.Context) {
		key, passed = middleware.IdempotencyKey(c), true
	})
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	c.Request.Header["Idempotency-Key"] = lines
	engine.HandleContext(c)
	return key, passed
}

func TestIdempotency(t *testing.T) {
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
			key, passed := serve(t, tc.lines...)
			if passed != tc.passed {
				t.Fatalf("let through: %t, want %t", passed, tc.passed)
			}
			if want := strings.Join(tc.lines, ""); passed && key != want {
				t.Errorf("got key %q, want %q", key, want)
			}
		})
	}
}

func FuzzIdempotency(f *testing.F) {
	f.Add("0199aa3e-7c00-7000-8000-00000000000b")
	f.Add("\x00")
	f.Add("é")
	f.Fuzz(func(t *testing.T, line string) {
		key, passed := serve(t, line)
		if !passed {
			return
		}
		if key != line || key == "" || len(key) > 255 {
			t.Errorf("got key %q of line %q", key, line)
		}
		for i := range len(key) {
			if key[i] < ' ' || key[i] > '~' {
				t.Errorf("key %q has byte %#x", key, key[i])
			}
		}
	})
}
