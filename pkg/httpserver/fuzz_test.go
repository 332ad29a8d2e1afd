package httpserver_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
)

// FuzzBind: no body makes an answer of 5xx, and what is accepted is one valid JSON
// object in UTF-8 without NUL.
func FuzzBind(f *testing.F) {
	for _, body := range []string{
		goodOrder, `{"items":[{"sku":1},7]}`, `{"a\u0000":1}`, `{"note":"\\u0000"}`, `{"/":{"~":1}}`, "[]", "\xff", `{"a":1,"a":2}`,
	} {
		f.Add([]byte(body))
	}
	b := setup(f, httpserver.Config{})
	b.handle(http.MethodPost, "/", func(c *gin.Context) error {
		in, err := httpserver.Bind[placeOrder](c)
		if err != nil {
			return err
		}
		return httpserver.JSON(c, http.StatusCreated, in)
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			problem(t, w, w.Code, code(t, w))
		case http.StatusCreated:
			if !json.Valid(body) || !utf8.Valid(body) || strings.Contains(w.Body.String(), `\u0000`) {
				t.Errorf("accepted %q as %s", body, w.Body)
			}
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return a.Code
}

// FuzzBindPage: every query is a page within bounds or a 400.
func FuzzBindPage(f *testing.F) {
	for _, query := range []string{"", "limit=5&cursor=MQ", "limit=101", "cursor=%00", "a=b;c=d", "%zz", "limit=1&limit=2", "\x9e"} {
		f.Add(query)
	}
	b := setup(f, httpserver.Config{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error {
		page, err := httpserver.BindPage(c, httpserver.Param{Name: "status", Take: func(string) string { return "" }})
		if err == nil && (page.Limit < 1 || page.Limit > 100) {
			panic("page out of bounds")
		}
		return err
	})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
