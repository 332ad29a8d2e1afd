package httpserver

import (
	"encoding/base64"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// Page is the part of a list that the caller requests.
type Page struct {
	Limit int       // 1 to 100, default 20
	After uuid.UUID // the id of the last item seen, uuid.Nil for the first page
}

// BindPage reads limit, cursor and params from the query, by the rules of [BindQuery].
func BindPage(c *gin.Context, params ...Param) (Page, error) {
	page := Page{Limit: defaultLimit}
	err := BindQuery(c, append(params,
		IntParam("limit", 1, maxLimit, func(n int64) { page.Limit = int(n) }),
		Param{Name: "cursor", Take: func(value string) string {
			after, ok := decodeCursor(value)
			if !ok {
				return "must be the nextCursor of an earlier answer"
			}
			page.After = after
			return ""
		}})...)
	return page, err
}

// List is one page of a list on the wire.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitzero"` // missing on the last page
}

// NewList returns the page of items, of which the caller has queried limit+1: the extra
// one shows that there is a next page. idOf returns an item's id, which comes back as
// [Page].After.
func NewList[T any](items []T, limit int, idOf func(T) uuid.UUID) List[T] {
	if items == nil {
		items = []T{}
	}
	if len(items) <= limit {
		return List[T]{Items: items}
	}
	items = items[:limit]
	return List[T]{Items: items, NextCursor: encodeCursor(idOf(items[limit-1]))}
}

// encodeCursor makes cursors opaque, so that clients do not construct them; it hides nothing.
func encodeCursor(id uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(id.String()))
}

// decodeCursor accepts only what encodeCursor returns.
func decodeCursor(cursor string) (uuid.UUID, bool) {
	if strings.ContainsAny(cursor, "\r\n") { // the decoder skips these
		return uuid.Nil, false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return uuid.Nil, false
	}
	return parseUUID(string(text))
}
