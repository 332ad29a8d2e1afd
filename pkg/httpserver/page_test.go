package httpserver_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
)

// paging returns a server whose GET /numbers lists 0 to 44 in pages; the id of n ends
// with n+1.
func paging(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, httpserver.Config{})
	idOf := func(n int) uuid.UUID { return uuid.UUID{15: byte(n + 1)} }
	b.handle(http.MethodGet, "/numbers", func(c *gin.Context) error {
		page, err := httpserver.BindPage(c, httpserver.Param{Name: "status", Take: func(string) string { return "" }})
		if err != nil {
			return err
		}
		var rows []int
		for n := int(page.After[15]); n < 45 && len(rows) < page.Limit+1; n++ {
			rows = append(rows, n)
		}
		return httpserver.JSON(c, http.StatusOK, httpserver.NewList(rows, page.Limit, idOf))
	})
	b.handle(http.MethodGet, "/users", func(c *gin.Context) error {
		page, err := httpserver.BindPage(c)
		if err != nil {
			return err
		}
		return httpserver.JSON(c, http.StatusOK, page.After)
	})
	b.handle(http.MethodGet, "/log", func(c *gin.Context) error {
		return httpserver.BindQuery(c,
			httpserver.Require(httpserver.IntParam("part", 0, math.MaxInt64, func(int64) {})),
			httpserver.IntParam("count", -1, 5, func(int64) {}), httpserver.UUIDParam("id", func(uuid.UUID) {}),
			httpserver.TimeParam("since", func(time.Time) {}))
	})
	return b
}

func TestPagesReachEveryItemOnce(t *testing.T) {
	t.Parallel()
	b := paging(t)
	for _, query := range []string{"", "limit=20", "limit=1", "limit=7&status=new", "limit=45", "limit=44", "limit=100"} {
		var got []int
		cursor := ""
		for {
			w := b.do(http.MethodGet, "/numbers?"+query+cursor, "")
			var page httpserver.List[int]
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", query, w.Code, w.Body)
			}
			got = append(got, page.Items...)
			if page.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
		}
		want := make([]int, 45)
		for i := range want {
			want[i] = i
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: items (-want +got):\n%s", query, diff)
		}
	}
}

func TestEmptyList(t *testing.T) {
	t.Parallel()
	list, err := json.Marshal(httpserver.NewList[int](nil, 20, nil))
	if err != nil || string(list) != `{"items":[]}` {
		t.Errorf("empty list is %s, %v", list, err)
	}
}

func TestBindPageListsEveryMistake(t *testing.T) {
	t.Parallel()
	b := paging(t)
	const (
		badLimit  = "must be a whole number from 1 to 100"
		badCursor = "must be the nextCursor of an earlier answer"
		badEscape = "has an invalid percent-encoding or a semicolon"
	)
	nul := base64.RawURLEncoding.EncodeToString([]byte("a\x00"))
	for query, want := range map[string]map[string]string{
		"limit=0":                      {"limit": badLimit},
		"limit=101":                    {"limit": badLimit},
		"limit=-1":                     {"limit": badLimit},
		"limit=1.5":                    {"limit": badLimit},
		"limit=":                       {"limit": badLimit},
		"limit=99999999999999999999":   {"limit": badLimit},
		"limit=1&limit=2":              {"limit": "is given more than once"},
		"cursor=":                      {"cursor": badCursor},
		"cursor=%21":                   {"cursor": badCursor},
		"cursor=MQ%3D%3D":              {"cursor": badCursor},
		"cursor=MR":                    {"cursor": badCursor},
		"cursor=" + nul:                {"cursor": badCursor},
		"cursor=_w":                    {"cursor": badCursor},
		"cursor=" + longCursor():       {"cursor": badCursor},
		"status=%00":                   {"status": "is not clean UTF-8 text"},
		"status=%ff":                   {"status": "is not clean UTF-8 text"},
		"%9e=1":                        {"\ufffd": "is not clean UTF-8 text"},
		"Limit=5":                      {"Limit": "is not a known parameter"},
		"limit=+5":                     {"limit": badLimit},
		"limit=%2B5":                   {"limit": badLimit},
		"limit=05":                     {"limit": badLimit},
		"cursor=bm8tdXVpZA&limit=x":    {"cursor": badCursor, "limit": badLimit},
		"limit=%zz&cursor=x":           {"": badEscape, "cursor": badCursor},
		"limit=1;cursor=2&status=%00":  {"": badEscape, "status": "is not clean UTF-8 text"},
		"limit=x&cursor=%21&email=a@b": {"limit": badLimit, "cursor": badCursor, "email": "is not a known parameter"},
	} {
		a := problem(t, b.do(http.MethodGet, "/numbers?"+query, ""), http.StatusBadRequest, "invalid_query")
		if diff := cmp.Diff(want, a.fields()); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", query, diff)
		}
	}
}

func TestBindQuery(t *testing.T) {
	t.Parallel()
	b := paging(t)
	for _, query := range []string{"part=0", "part=9223372036854775807&count=-1&since=2026-01-02T03:04:05.6Z&id=01890A5D-ac96-774b-bcce-b302099a8057"} {
		if w := b.do(http.MethodGet, "/log?"+query, ""); w.Code != http.StatusOK {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
	a := problem(t, b.do(http.MethodGet, "/log?count=6&since=today&id=x&page=1", ""), http.StatusBadRequest, "invalid_query")
	want := map[string]string{
		"part": "is required", "count": "must be a whole number from -1 to 5", "since": "must be a time as of RFC 3339",
		"id": "must be a UUID", "page": "is not a known parameter",
	}
	if diff := cmp.Diff(want, a.fields()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, part := range []string{"", "-0", "00", "0x1", "1_0", "9223372036854775808", "-1", "1e3", "٣"} {
		a := problem(t, b.do(http.MethodGet, "/log?part="+url.QueryEscape(part), ""), http.StatusBadRequest, "invalid_query")
		if got := a.fields()["part"]; got != "must be a whole number from 0" {
			t.Errorf("part %q: %q", part, got)
		}
	}
}

func longCursor() string { return strings.Repeat("MTIz", 200) }

func TestCursorHoldsAUUID(t *testing.T) {
	t.Parallel()
	b := paging(t)
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	cursorOf := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for query, want := range map[string]string{"": "00000000-0000-0000-0000-000000000000", "cursor=" + cursorOf(id): id} {
		if w := b.do(http.MethodGet, "/users?"+query, ""); w.Body.String() != `"`+want+`"` {
			t.Errorf("%q: %s, want %s", query, w.Body, want)
		}
	}
	for _, bad := range []string{"17", "{" + id + "}", "urn:uuid:" + id} {
		a := problem(t, b.do(http.MethodGet, "/users?cursor="+cursorOf(bad), ""), http.StatusBadRequest, "invalid_query")
		if a.fields()["cursor"] == "" {
			t.Errorf("cursor of %q: %+v", bad, a)
		}
	}
}
