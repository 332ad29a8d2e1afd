package httpserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
)

type placeOrder struct {
	UserID   uuid.UUID  `json:"userId" validate:"required"`
	Currency string     `json:"currency" validate:"omitempty,iso4217"`
	Note     *string    `json:"note" validate:"omitempty,max=10"`
	Gift     bool       `json:"gift"`
	Rate     float64    `json:"rate"`
	Due      *time.Time `json:"due"`
	Items    []item     `json:"items" validate:"required,min=1,max=3,dive"`
}

type item struct {
	SKU      string `json:"sku" validate:"required"`
	Quantity int32  `json:"quantity" validate:"min=1,max=100"`
	Internal string `json:"-"`
}

const goodOrder = `{"userId":"01890a5d-ac96-774b-bcce-b302099a8057","items":[{"sku":"a","quantity":1}]}`

// binding returns a server whose POST / binds a T and answers it.
func binding[T any](t *testing.T, cfg httpserver.Config) *bundle {
	t.Helper()
	b := setup(t, cfg)
	b.handle(http.MethodPost, "/", func(c *gin.Context) error {
		in, err := httpserver.Bind[T](c)
		if err != nil {
			return err
		}
		return httpserver.JSON(c, http.StatusCreated, in)
	})
	return b
}

func TestBind(t *testing.T) {
	t.Parallel()
	b := binding[item](t, httpserver.Config{})
	for _, body := range []string{
		`{"sku":"a","quantity":2}`,
		" \n{\"quantity\":2,\t\"sku\":\"a\"}\r\n",
		`{"sku":"\u0061","quantity":2}`,
	} {
		w := b.post("/", body)
		if want := `{"sku":"a","quantity":2}`; w.Code != http.StatusCreated || w.Body.String() != want {
			t.Errorf("%q: %d %s, want %s", body, w.Code, w.Body, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type %q", got)
		}
	}
	if w := b.post("/", `{"sku":"\\u0000","quantity":2}`); w.Code != http.StatusCreated {
		t.Errorf("an escaped backslash was taken for a NUL: %s", w.Body)
	}
}

func TestBindRefusesMalformedText(t *testing.T) {
	t.Parallel()
	b := binding[item](t, httpserver.Config{})
	for name, body := range map[string]string{
		"empty":             "",
		"blank":             " \n",
		"null":              "null",
		"array":             `[{"sku":"a"}]`,
		"string":            `"a"`,
		"truncated":         `{"sku":"a"`,
		"after a misfit":    `{"sku":1,"quantity":"x"`,
		"twice and misfit":  `{"sku":1,"quantity":1,"quantity":2}`,
		"null and trailing": `{"sku":null,"quantity":1}{}`,
		"trailing data":     `{"sku":"a","quantity":1}{}`,
		"trailing comma":    `{"sku":"a","quantity":1,}`,
		"comment":           `{"sku":"a"/**/}`,
		"duplicate":         `{"sku":"a","sku":"b","quantity":1}`,
		"duplicate escaped": `{"sku":"a","s\u006bu":"b","quantity":1}`,
		"NUL":               `{"sku":"a\u0000","quantity":1}`,
		"NUL in a name":     `{"a\u0000":1}`,
		"raw NUL":           "{\"sku\":\"a\x00\",\"quantity\":1}",
		"NUL after escapes": `{"sku":"\"\\\u0000"}`,
		"invalid UTF-8":     "{\"sku\":\"\xff\",\"quantity\":1}",
		"lone surrogate":    `{"sku":"\ud800","quantity":1}`,
		"byte order mark":   "\ufeff{}",
		"NaN":               `{"quantity":NaN}`,
		"deep":              `{"sku":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"deep, unclosed":    strings.Repeat(`{"a":`, 1000),
		"very deep":         strings.Repeat("[", 500_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem(t, b.post("/", body), http.StatusBadRequest, "malformed_json")
		})
	}
}

func TestBindListsEveryInvalidField(t *testing.T) {
	t.Parallel()
	b := binding[placeOrder](t, httpserver.Config{})
	for name, tc := range map[string]struct {
		body string
		want map[string]string
	}{
		"tags": {`{"currency":"XXY","note":"01234567890","items":[{"sku":"","quantity":1},{"sku":"b","quantity":101}]}`, map[string]string{
			"userId":            "is required",
			"currency":          "must be an ISO 4217 currency code",
			"note":              "must have at most 10 characters",
			"items[0].sku":      "is required",
			"items[1].quantity": "must be at most 100",
		}},
		"types and tags": {`{"userId":"nope","currency":5,"gift":"yes","rate":"x","due":"today","note":"01234567890","items":[{"sku":1,"quantity":1.5},7,{"sku":"c","quantity":0}]}`, map[string]string{
			"userId":            "must be a UUID",
			"currency":          "must be a string",
			"gift":              "must be true or false",
			"rate":              "must be a number",
			"due":               "must be a time as of RFC 3339",
			"note":              "must have at most 10 characters",
			"items[0].sku":      "must be a string",
			"items[0].quantity": "must be a whole number",
			"items[1]":          "must be an object",
			"items[2].quantity": "must be at least 1",
		}},
		"range":   {strings.Replace(goodOrder, `"quantity":1`, `"quantity":4294967296`, 1), map[string]string{"items[0].quantity": "is out of range"}},
		"unknown": {strings.Replace(goodOrder, `"sku":`, `"color":{"a":[1]},"sku":`, 1), map[string]string{"items[0].color": "is not a known field"}},
		"not in JSON": {
			strings.Replace(goodOrder, `"sku"`, `"Internal":"x","sku"`, 1),
			map[string]string{"items[0].Internal": "is not a known field"},
		},
		"wrong case": {strings.Replace(goodOrder, `"sku"`, `"SKU"`, 1), map[string]string{"items[0].SKU": "is not a known field", "items[0].sku": "is required"}},
		"no array":   {strings.Replace(goodOrder, `[{"sku":"a","quantity":1}]`, `{}`, 1), map[string]string{"items": "must be an array"}},
		"too many":   {strings.Replace(goodOrder, `{"sku"`, strings.Repeat(`{"sku":"a","quantity":1},`, 3)+`{"sku"`, 1), map[string]string{"items": "must have at most 3 items"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := problem(t, b.post("/", tc.body), http.StatusBadRequest, "validation_failed")
			if diff := cmp.Diff(tc.want, a.fields()); diff != "" {
				t.Errorf("invalid fields (-want +got):\n%s", diff)
			}
		})
	}
}

// Of many invalid fields, a response names a stated number and says that there are more;
// the size of the body makes no difference, and names are cut.
func TestBindBoundsItsReport(t *testing.T) {
	t.Parallel()
	b := binding[placeOrder](t, httpserver.Config{})
	var unknown, wrong strings.Builder
	for i := range 1000 {
		unknown.WriteString(`,"x` + strings.Repeat("y", i%200) + strconv.Itoa(i) + `":1`)
		wrong.WriteString(`,{"sku":null,"quantity":"x"}`)
	}
	long := `"note":"` + strings.Repeat("é", 100_000) + `"`
	for name, body := range map[string]string{
		"unknown":        `{"a":1` + unknown.String() + `}`,
		"in a long body": `{` + long + unknown.String() + `}`,
		"in an array":    `{"items":[7` + wrong.String() + `]}`,
	} {
		a := problem(t, b.post("/", body), http.StatusBadRequest, "validation_failed")
		if len(a.Errors) != 32 || a.Errors[31].Message != "and more" || a.Errors[31].Field != "" {
			t.Errorf("%s: %d fields reported, want 31 and a note: %+v", name, len(a.Errors), a.Errors)
		}
		for _, e := range a.Errors {
			if utf8.RuneCountInString(e.Field) > 65 {
				t.Errorf("%s: a name of %d characters", name, utf8.RuneCountInString(e.Field))
			}
		}
	}
	a := problem(t, b.post("/", `{`+long+`,"gift":1,"rate":true,"due":{},"items":null,"`+strings.Repeat("é", 100)+`":1}`),
		http.StatusBadRequest, "validation_failed")
	want := map[string]string{
		"gift": "must be true or false", "rate": "must be a number", "due": "must be a time as of RFC 3339",
		"items": "must not be null; leave it out instead", strings.Repeat("é", 64) + "…": "is not a known field",
		"userId": "is required", "note": "must have at most 10 characters",
	}
	if diff := cmp.Diff(want, a.fields()); diff != "" {
		t.Errorf("invalid fields of a long body (-want +got):\n%s", diff)
	}
}

// What is read value by value follows the tags like the rest.
func TestBindReadsEachValueByItsTag(t *testing.T) {
	t.Parallel()
	type named struct {
		Name string `json:"name"`
	}
	type tagged struct {
		named
		Part *int64           `json:"part,string"`
		Mark map[string]int64 `json:"mark"`
		Raw  []byte           `json:"raw"`
		Deep []struct {
			IDs []uuid.UUID `json:"ids"`
		} `json:"deep"`
		Secret string `json:"-"`
	}
	b := binding[tagged](t, httpserver.Config{})
	for body, want := range map[string]map[string]string{
		`{"name":1,"part":5,"mark":{"a":"b"},"deep":[{"ids":["x",null]},null],"Secret":"s"}`: {
			"name": "must be a string", "part": "must be a whole number", "mark.a": "must be a whole number",
			"deep[0].ids[0]": "must be a UUID", "deep[0].ids[1]": "must not be null; leave it out instead",
			"deep[1]": "must not be null; leave it out instead", "Secret": "is not a known field",
		},
		`{"part":"5","raw":"YQ==","mark":{"a":null},"name":"a","deep":[]}`: {},
	} {
		w := b.post("/", body)
		if len(want) == 0 {
			if w.Code != http.StatusCreated {
				t.Errorf("%s: %d %s", body, w.Code, w.Body)
			}
			continue
		}
		a := problem(t, w, http.StatusBadRequest, "validation_failed")
		if diff := cmp.Diff(want, a.fields()); diff != "" {
			t.Errorf("%s: invalid fields (-want +got):\n%s", body, diff)
		}
	}
}

func TestBindMediaType(t *testing.T) {
	t.Parallel()
	b := binding[placeOrder](t, httpserver.Config{})
	for media, taken := range map[string]bool{
		"application/json":                         true,
		"application/json; charset=utf-8":          true,
		`APPLICATION/JSON;charset="UTF-8"`:         true,
		"application/json; charset=latin1":         false,
		"application/json; v=2":                    false,
		"application/json; charset=utf-8; v=2":     false,
		"application/problem+json":                 false,
		"text/plain":                               false,
		"":                                         false,
		"application/x-www-form-urlencoded":        false,
		"application/json, application/json":       false,
		"application/json; charset=utf-8; charset": false,
	} {
		w := b.do(http.MethodPost, "/", goodOrder, "Content-Type", media)
		if taken && w.Code != http.StatusCreated {
			t.Errorf("%q: %d %s", media, w.Code, w.Body)
		}
		if !taken {
			problem(t, w, http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
	}
	two := b.do(http.MethodPost, "/", goodOrder, "Content-Type", "application/json", "Content-Type", "application/json")
	problem(t, two, http.StatusUnsupportedMediaType, "unsupported_media_type")
	gzip := b.do(http.MethodPost, "/", goodOrder, "Content-Type", "application/json", "Content-Encoding", "gzip")
	problem(t, gzip, http.StatusUnsupportedMediaType, "unsupported_encoding")
}

const maxBody = 1 << 20

func TestBindBodyLimit(t *testing.T) {
	t.Parallel()
	b := binding[placeOrder](t, httpserver.Config{})
	longest := goodOrder + strings.Repeat(" ", maxBody-len(goodOrder))
	if w := b.post("/", longest); w.Code != http.StatusCreated {
		t.Errorf("body at the limit: %d %s", w.Code, w.Body)
	}
	problem(t, b.post("/", longest+" "), http.StatusRequestEntityTooLarge, "body_too_large")

	// Without a length in advance, as of a chunked body.
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(longest), strings.NewReader(" ")))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	problem(t, w, http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestBindLeavesBodyOutOfAnswerAndLog(t *testing.T) {
	t.Parallel()
	b := binding[placeOrder](t, httpserver.Config{})
	for _, body := range []string{
		`{"userId":"ann@example.com"}`, `{"currency":"ann@example.com"}`, `{"note":ann@example.com}`, `{"gift":"ann@example.com"}`,
	} {
		if w := b.post("/?email=ann@example.com", body); strings.Contains(w.Body.String(), "ann@") {
			t.Errorf("%s is repeated in %s", body, w.Body)
		}
	}
	if strings.Contains(b.log.String(), "ann@") {
		t.Errorf("log holds an address: %s", b.log)
	}
}
