package httpserver_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/httpserver"
)

// paging returns a server whose GET /numbers lists 0 to 44 in pages.
func paging(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/numbers", func(c *gin.Context) error {
		page, err := httpserver.BindPage(c, httpserver.Filter{Name: "status", Take: func(string) string { return "" }})
		if err != nil {
			return err
		}
		first := 0
		if page.After != "" {
			first, _ = strconv.Atoi(page.After)
			first++
		}
		var rows []int
		for n := first; n < 45 && len(rows) < page.Limit+1; n++ {
			rows = append(rows, n)
		}
		return httpserver.JSON(c, http.StatusOK, httpserver.NewList(rows, page.Limit, strconv.Itoa))
	})
	b.handle(http.MethodGet, "/users", func(c *gin.Context) error {
		page, err := httpserver.BindPage(c)
		if err != nil {
			return err
		}
		after, err := page.AfterUUID()
		if err != nil {
			return err
		}
		return httpserver.JSON(c, http.StatusOK, after)
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
	list, err := json.Marshal(httpserver.NewList[int](nil, 20, strconv.Itoa))
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
		"limit=x&cursor=%21&email=a@b": {"limit": badLimit, "cursor": badCursor, "email": "is not a known parameter"},
	} {
		a := problem(t, b.do(http.MethodGet, "/numbers?"+query, ""), http.StatusBadRequest, "invalid_query")
		if diff := cmp.Diff(want, a.fields()); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", query, diff)
		}
	}
	problem(t, b.do(http.MethodGet, "/numbers?limit=%zz", ""), http.StatusBadRequest, "invalid_query")
	problem(t, b.do(http.MethodGet, "/numbers?limit=1;cursor=2", ""), http.StatusBadRequest, "invalid_query")
}

func longCursor() string { return strings.Repeat("MTIz", 200) }

func TestAfterUUID(t *testing.T) {
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
