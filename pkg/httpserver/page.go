package httpserver

import (
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
)

const (
	defaultLimit = 20
	maxLimit     = 100
	maxCursor    = 512
)

var errQuery = fault.New(fault.Malformed, "invalid_query", "Invalid query")

// Page is the part of a list that the caller requests.
type Page struct {
	Limit int    // 1 to 100, default 20
	After string // the key of the last item seen, "" for the first page
}

// AfterUUID returns After as a UUID: uuid.Nil for the first page, and a 400 for a cursor
// that does not hold one.
func (p Page) AfterUUID() (uuid.UUID, error) {
	if p.After == "" {
		return uuid.Nil, nil
	}
	id, ok := parseUUID(p.After)
	if !ok {
		return uuid.Nil, errQuery.WithFields(badCursor)
	}
	return id, nil
}

var badCursor = fault.Field{Name: "cursor", Message: "must be the nextCursor of an earlier answer"}

// Filter is a parameter of a list's query. Take stores its value, or describes the problem
// with it.
type Filter struct {
	Name string
	Take func(value string) (problem string)
}

// BindPage reads limit, cursor and the filters from the query. It fails with a 400 that
// lists every invalid value, every other parameter, every parameter given twice, and all
// text that is not UTF-8 without NUL.
func BindPage(c *gin.Context, filters ...Filter) (Page, error) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return Page{}, errQuery.With(err)
	}
	page := Page{Limit: defaultLimit}
	var invalid []fault.Field
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if problem := page.take(name, query[name], filters); problem != "" {
			invalid = append(invalid, fault.Field{Name: name, Message: problem})
		}
	}
	if len(invalid) > 0 {
		return Page{}, errQuery.WithFields(invalid...)
	}
	return page, nil
}

// take reads one parameter; it returns a description of the problem, or "".
func (p *Page) take(name string, values []string, filters []Filter) string {
	value := values[0]
	switch {
	case len(values) > 1:
		return "is given more than once"
	case !cleanText(name) || !cleanText(value):
		return "is not clean UTF-8 text"
	case name == "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != value {
			return "must be a whole number from 1 to " + strconv.Itoa(maxLimit)
		}
		p.Limit = n
		return ""
	case name == "cursor":
		after, ok := decodeCursor(value)
		if !ok {
			return badCursor.Message
		}
		p.After = after
		return ""
	}
	for _, f := range filters {
		if f.Name == name {
			return f.Take(value)
		}
	}
	return "is not a known parameter"
}

// UUIDFilter returns a Filter that passes a UUID in its 36-character form to keep.
func UUIDFilter(name string, keep func(uuid.UUID)) Filter {
	return Filter{name, func(value string) string {
		id, ok := parseUUID(value)
		if !ok {
			return errUUID.Message()
		}
		keep(id)
		return ""
	}}
}

func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// List is one page of a list on the wire.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitzero"` // missing on the last page
}

// NewList returns the page of items, of which the caller has queried limit+1: the extra
// one shows that there is a next page. cursorOf returns an item's key, which comes back
// as [Page].After.
func NewList[T any](items []T, limit int, cursorOf func(T) string) List[T] {
	if items == nil {
		items = []T{}
	}
	if len(items) <= limit {
		return List[T]{Items: items}
	}
	items = items[:limit]
	return List[T]{Items: items, NextCursor: encodeCursor(cursorOf(items[limit-1]))}
}

// encodeCursor makes cursors opaque, so that clients do not construct them; it hides nothing.
func encodeCursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(key))
}

func decodeCursor(cursor string) (string, bool) {
	if cursor == "" || len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // the decoder skips these
		return "", false
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	return string(key), err == nil && cleanText(string(key))
}
