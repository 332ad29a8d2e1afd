package httpserver

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
)

var (
	errChanged = fault.New(fault.PreconditionFailed, "precondition_failed", "The resource has changed").
			WithDetail("read it again and send its current ETag as If-Match")
	errNoIfMatch = fault.New(fault.PreconditionRequired, "precondition_required", "If-Match required").
			WithDetail("send the ETag of the version that you change, or *")
	// errIfNoneMatch: no change here depends on it, and a precondition must not be passed over (RFC 9110, 13.2.1).
	errIfNoneMatch = fault.New(fault.Malformed, "invalid_precondition", "If-None-Match is for GET").
			WithDetail("a change takes If-Match; to create once, send an Idempotency-Key")
	errTags = fault.New(fault.Malformed, "invalid_precondition", "Invalid If-Match or If-None-Match").
		WithDetail("give * or a list of entity tags in double quotes")
)

// Resource responds like [JSON] with v, one resource, and with its ETag: a strong validator
// (RFC 9110, 8.8) made of the response's bytes, so that any visible change makes another
// one. A GET whose If-None-Match names it gets 304 without a body, and 412 unless its If-Match
// does; malformed ones are a 400.
func Resource(c *gin.Context, status int, v any) error {
	body, err := encode(c, v)
	if err != nil {
		return err
	}
	tag := tagOf(body)
	if c.Request.Method == http.MethodGet {
		wanted, err := readIfMatch(c)
		if err != nil {
			return err
		}
		if !wanted.has(tag) {
			return errChanged
		}
		known, err := readTags(c.Request.Header.Values("If-None-Match"))
		if err != nil {
			return err
		}
		if known.has(tag) || known.has("W/"+tag) {
			c.Header("ETag", tag)
			c.Status(http.StatusNotModified)
			return nil
		}
	}
	c.Header("ETag", tag)
	write(c, status, mediaJSON, body)
	return nil
}

// IfMatch reads the request's If-Match and returns the check of it: a function that fails
// with 412 "precondition_failed" unless view(current), as [Resource] would respond with it,
// has one of the ETags. Without If-Match, and with *, every current resource passes. The
// caller checks a resource that the transaction of the change has locked, and only if there
// is something to change, so that a repeated request succeeds (RFC 9110, 13.1.1). A
// malformed If-Match is a 400.
func IfMatch[T, V any](c *gin.Context, view func(T) V) (check func(current T) error, err error) {
	wanted, err := readIfMatch(c)
	if err != nil {
		return nil, err
	}
	return func(current T) error {
		if wanted.any {
			return nil
		}
		body, err := encode(c, view(current))
		if err != nil {
			return err
		}
		if !wanted.has(tagOf(body)) {
			return errChanged
		}
		return nil
	}, nil
}

// RequireIfMatch refuses requests without If-Match with 428 "precondition_required"
// (RFC 6585), so that no change overwrites one that its author has not seen.
func RequireIfMatch() gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		if len(c.Request.Header.Values("If-Match")) == 0 {
			return errNoIfMatch
		}
		return nil
	})
}

func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// tagList is the value of If-Match or If-None-Match.
type tagList struct {
	any  bool // *
	tags []string
}

func (l tagList) has(tag string) bool { return l.any || slices.Contains(l.tags, tag) }

// readIfMatch returns the request's If-Match; without one any tag will do.
func readIfMatch(c *gin.Context) (tagList, error) {
	lines := c.Request.Header.Values("If-Match")
	if len(lines) == 0 {
		return tagList{any: true}, nil
	}
	return readTags(lines)
}

// nextTag matches the first entity tag of a list, and what separates it from the next.
var nextTag = regexp.MustCompile(`^[ \t,]*((?:W/)?"[^"\x00-\x20\x7f]*")[ \t]*(?:,[ \t,]*|$)`)

// readTags reads all lines of a header as one list (RFC 9110, 5.3).
func readTags(lines []string) (tagList, error) {
	text := strings.Trim(strings.Join(lines, ","), " \t")
	if text == "*" {
		return tagList{any: true}, nil
	}
	if text == "" && len(lines) > 0 {
		return tagList{}, errTags
	}
	var list tagList
	for text != "" {
		match := nextTag.FindStringSubmatch(text)
		if match == nil {
			return tagList{}, errTags
		}
		list.tags = append(list.tags, match[1])
		text = text[len(match[0]):]
	}
	return list, nil
}
