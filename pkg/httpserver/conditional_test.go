package httpserver_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
)

// document is a resource that changes one request at a time.
type document struct {
	mu   sync.Mutex
	text string
}

// documents returns a server with a document at /, which DELETE empties, and at /strict,
// where DELETE requires If-Match.
func documents(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, httpserver.Config{})
	d := &document{text: "a"}
	view := func(text string) map[string]string { return map[string]string{"text": text} }
	show := func(c *gin.Context) error { return httpserver.Resource(c, http.StatusOK, view(d.text)) }
	empty := func(c *gin.Context) error {
		check, err := httpserver.IfMatch(c, view)
		if err != nil {
			return err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := check(d.text); err != nil {
			return err
		}
		d.text = ""
		return httpserver.Resource(c, http.StatusOK, view(d.text))
	}
	b.handle(http.MethodGet, "/", show)
	b.handle(http.MethodDelete, "/", empty)
	b.Router().DELETE("/strict", httpserver.Public(), httpserver.RequireIfMatch(), httpserver.Handle(empty))
	return b
}

func TestConditionalGet(t *testing.T) {
	t.Parallel()
	b := documents(t)
	first := b.do(http.MethodGet, "/", "")
	tag := first.Header().Get("ETag")
	if first.Code != http.StatusOK || len(tag) < 10 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Fatalf("%d, ETag %q, want a strong one", first.Code, tag)
	}
	for given, known := range map[string]bool{
		tag: true, "W/" + tag: true, "*": true, `"x", ` + tag: true, `"a,b" ,,` + tag + `,`: true, " " + tag + "\t": true,
		`"x"`: false, `W/"x"`: false, `""`: false,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := b.do(method, "/", "", "If-None-Match", given)
			want := http.StatusOK
			if known {
				want = http.StatusNotModified
			}
			if w.Code != want || w.Header().Get("ETag") != tag || known && w.Body.Len() > 0 {
				t.Errorf("%s %q: %d %q, ETag %q", method, given, w.Code, w.Body, w.Header().Get("ETag"))
			}
		}
	}
	if w := b.do(http.MethodGet, "/", "", "If-None-Match", `"x"`, "If-None-Match", tag); w.Code != http.StatusNotModified {
		t.Errorf("two lines: %d", w.Code)
	}
	if changed := b.do(http.MethodDelete, "/", ""); changed.Header().Get("ETag") == tag {
		t.Error("the ETag stays when the resource changes")
	}
}

// A precondition is never passed over.
func TestPreconditionsOfTheOtherMethods(t *testing.T) {
	t.Parallel()
	b := documents(t)
	tag := b.do(http.MethodGet, "/", "").Header().Get("ETag")
	for given, status := range map[string]int{tag: 200, "*": 200, `"x", ` + tag: 200, `"x"`: 412, "W/" + tag: 412} {
		if w := b.do(http.MethodGet, "/", "", "If-Match", given); w.Code != status {
			t.Errorf("GET with If-Match %s: %d, want %d", given, w.Code, status)
		}
	}
	for _, given := range []string{"*", tag, `"x"`} {
		problem(t, b.do(http.MethodDelete, "/", "", "If-None-Match", given), http.StatusBadRequest, "invalid_precondition")
	}
	if w := b.do(http.MethodGet, "/", ""); w.Header().Get("ETag") != tag {
		t.Error("a refused change was made")
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]int{
		"": http.StatusOK, "*": http.StatusOK, "TAG": http.StatusOK, `"x", TAG`: http.StatusOK,
		`"x"`: http.StatusPreconditionFailed, "W/TAG": http.StatusPreconditionFailed, `""`: http.StatusPreconditionFailed,
	} {
		b := documents(t)
		tag := b.do(http.MethodGet, "/", "").Header().Get("ETag")
		var header []string
		if given != "" {
			header = []string{"If-Match", strings.ReplaceAll(given, "TAG", tag)}
		}
		w := b.do(http.MethodDelete, "/", "", header...)
		if w.Code != want {
			t.Errorf("%q: %d %s, want %d", given, w.Code, w.Body, want)
		}
		if want == http.StatusPreconditionFailed {
			problem(t, w, want, "precondition_failed")
		}
		if now := b.do(http.MethodGet, "/", "").Header().Get("ETag"); (now == tag) != (want != http.StatusOK) {
			t.Errorf("%q: changed: %t", given, now != tag)
		}
	}
}

func TestMalformedPreconditions(t *testing.T) {
	t.Parallel()
	b := documents(t)
	for _, given := range []string{"", " ", "x", "\"x", "x\"", `w/"x"`, `"x" "y"`, `"x";"y"`, `"a b"`, "\"a\x00\"", "*, *", `*, "x"`, `"x", *`, "W/", `'x'`} {
		problem(t, b.do(http.MethodDelete, "/", "", "If-Match", given), http.StatusBadRequest, "invalid_precondition")
		problem(t, b.do(http.MethodGet, "/", "", "If-None-Match", given), http.StatusBadRequest, "invalid_precondition")
	}
	problem(t, b.do(http.MethodDelete, "/", "", "If-Match", "*", "If-Match", "*"), http.StatusBadRequest, "invalid_precondition")
}

func TestRequireIfMatch(t *testing.T) {
	t.Parallel()
	b := documents(t)
	problem(t, b.do(http.MethodDelete, "/strict", ""), http.StatusPreconditionRequired, "precondition_required")
	problem(t, b.do(http.MethodDelete, "/strict", "", "If-Match", `"x"`), http.StatusPreconditionFailed, "precondition_failed")
	if w := b.do(http.MethodDelete, "/strict", "", "If-Match", "*"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Of many changes to one version, one is made.
func TestOneOfManyChangesToAVersionIsMade(t *testing.T) {
	t.Parallel()
	b := documents(t)
	tag := b.do(http.MethodGet, "/", "").Header().Get("ETag")
	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		wg.Go(func() { codes[i] = b.do(http.MethodDelete, "/", "", "If-Match", tag).Code })
	}
	wg.Wait()
	made := 0
	for _, code := range codes {
		if code == http.StatusOK {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%v, want one 200", codes)
	}
}

func TestDeprecated(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	since, sunset := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), time.Date(2027, 6, 1, 2, 0, 0, 0, time.FixedZone("", 7200))
	b.Router().GET("/old", httpserver.Public(), httpserver.Deprecated(since, sunset, "https://example.com/docs"), httpserver.Handle(ok))
	h := b.do(http.MethodGet, "/old", "").Header()
	for name, want := range map[string]string{
		"Deprecation": "@1795824000", "Sunset": "Tue, 01 Jun 2027 00:00:00 GMT",
		"Link": `<https://example.com/docs>; rel="deprecation"; type="text/html"`,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzIfMatch(f *testing.F) {
	f.Add(`"a", W/"b"`)
	f.Add(`*`)
	f.Add(`"a`)
	b := setup(f, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error { return httpserver.Resource(c, http.StatusOK, "a") })
	f.Fuzz(func(t *testing.T, given string) {
		switch w := b.do(http.MethodGet, "/", "", "If-None-Match", given); w.Code {
		case http.StatusBadRequest:
			problem(t, w, w.Code, "invalid_precondition")
		case http.StatusOK, http.StatusNotModified:
		default:
			t.Errorf("%q: %d %s", given, w.Code, w.Body)
		}
	})
}
