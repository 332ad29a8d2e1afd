package httpserver

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
)

var errQuery = fault.New(fault.Malformed, "invalid_query", "Invalid query")

// Param is a parameter of a query. Take stores its value, or describes the problem with
// it.
type Param struct {
	Name     string
	Required bool
	Take     func(value string) (problem string)
}

// BindQuery reads params from the query. It fails with a 400 that lists every invalid and
// every missing value, every other parameter, every parameter given twice, and all text
// that is not UTF-8 without NUL.
func BindQuery(c *gin.Context, params ...Param) error {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	var invalid []fault.Field
	if err != nil {
		invalid = append(invalid, fault.Field{Message: "has an invalid percent-encoding or a semicolon"})
	}
	for _, p := range params {
		if p.Required && !query.Has(p.Name) {
			invalid = append(invalid, fault.Field{Name: p.Name, Message: "is required"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if problem := take(params, name, query[name]); problem != "" {
			invalid = append(invalid, fault.Field{Name: name, Message: problem})
		}
	}
	if len(invalid) > 0 {
		return errQuery.WithFields(invalid...)
	}
	return nil
}

// take passes a value to its parameter; it returns a description of the problem, or "".
func take(params []Param, name string, values []string) string {
	switch value := values[0]; {
	case len(values) > 1:
		return "is given more than once"
	case !cleanText(name) || !cleanText(value):
		return "is not clean UTF-8 text"
	}
	for _, p := range params {
		if p.Name == name {
			return p.Take(values[0])
		}
	}
	return "is not a known parameter"
}

func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// UUIDParam returns a Param that passes a UUID in its 36-character form to keep.
func UUIDParam(name string, keep func(uuid.UUID)) Param {
	return Param{Name: name, Take: func(value string) string {
		id, ok := parseUUID(value)
		if !ok {
			return errUUID.Message()
		}
		keep(id)
		return ""
	}}
}

// IntParam returns a Param that passes a whole number within bounds to keep. A number has
// one spelling: digits without a sign or leading zeros.
func IntParam(name string, least, most int64, keep func(int64)) Param {
	problem := "must be a whole number from " + strconv.FormatInt(least, 10)
	if most < 1<<63-1 {
		problem += " to " + strconv.FormatInt(most, 10)
	}
	return Param{Name: name, Take: func(value string) string {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < least || n > most || strconv.FormatInt(n, 10) != value {
			return problem
		}
		keep(n)
		return ""
	}}
}

// TimeParam returns a Param that passes a time of RFC 3339 to keep.
func TimeParam(name string, keep func(time.Time)) Param {
	return Param{Name: name, Take: func(value string) string {
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return timeText
		}
		keep(at)
		return ""
	}}
}

// Require returns p as a parameter that must be given.
func Require(p Param) Param {
	p.Required = true
	return p
}
