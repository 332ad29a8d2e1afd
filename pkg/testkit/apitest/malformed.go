package apitest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Malformed is a request that a service must refuse.
type Malformed struct {
	Name                 string
	Method, Target, Body string
	Header               []string // names and values in turn; they replace those of Call, "" removes
	Anonymous            bool     // without a service token
	Status               int
	Code                 string
	Fields               []string // the invalid fields, in any order; not compared if nil
}

// Surface is what the requests of every service are sent to.
type Surface struct {
	Method, Target, Body string // a valid request with a body; a POST takes an Idempotency-Key
	List                 string // path of a GET in pages
	One                  string // path of a GET, up to its id
}

// RefusesMalformed sends the malformed requests that are the same for every service, and
// more, and fails t unless each response is the Problem called for, with its trace and
// without internals, and the database stays as it is.
func (s *Service) RefusesMalformed(t *testing.T, on Surface, more ...Malformed) {
	t.Helper()
	requests := slices.Concat(malformedBodies(on), malformedHeaders(on), malformedQueries(on), malformedPaths(on), more)
	if len(requests) < 60 {
		t.Errorf("%d requests, want at least 60", len(requests))
	}
	before := s.rows(t)
	for _, m := range requests {
		t.Run(m.Name, func(t *testing.T) {
			s.refuses(t, m)
			if after := s.rows(t); after != before {
				t.Errorf("rows changed from %s to %s", before, after)
			}
		})
	}
}

// internals matches what a response must not show.
var internals = regexp.MustCompile(`(?i)SQLSTATE|pgx|gorm|goroutine|\.go:|panic|reflect|jsontext|unmarshal|/usr/|127\.0\.0\.1`)

const maxProblem = 8 << 10 // bytes of a response to an invalid request

func (s *Service) refuses(t *testing.T, m Malformed) {
	caller := gateway
	if m.Anonymous {
		caller = ""
	}
	r := s.Request(t, caller, m.Method, m.Target, m.Body)
	for i := 0; i < len(m.Header); i += 2 {
		r.Header.Del(m.Header[i])
	}
	for i := 0; i < len(m.Header); i += 2 {
		if m.Header[i+1] != "" {
			r.Header.Add(m.Header[i], m.Header[i+1])
		}
	}
	a := s.api.Call(t, s.HTTP, r)
	p := Decode[struct {
		Problem
		Status             int
		TraceID, RequestID string
	}](t, a, m.Status)
	if p.Code != m.Code || p.Status != m.Status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s %s, want code %s", a.Header.Get("Content-Type"), a.Body, m.Code)
	}
	if p.TraceID == "" || p.TraceID != a.Header.Get("X-Trace-ID") || p.RequestID != a.Header.Get("X-Request-ID") {
		t.Errorf("ids %q, %q, headers %v", p.TraceID, p.RequestID, a.Header)
	}
	if found := internals.FindString(a.Body); found != "" || len(a.Body) > maxProblem {
		t.Errorf("a response of %d bytes shows %q: %.500s", len(a.Body), found, a.Body)
	}
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	slices.Sort(fields)
	if want := slices.Sorted(slices.Values(m.Fields)); m.Fields != nil && !slices.Equal(fields, want) {
		t.Errorf("invalid fields %q, want %q", fields, want)
	}
}

// rows returns the number of rows of every table.
func (s *Service) rows(t testing.TB) string {
	t.Helper()
	var counts string
	err := s.Data.Gorm.Raw(`
SELECT string_agg(tablename || '=' || (xpath('//n/text()', query_to_xml(
	format('SELECT count(*) AS n FROM %I.%I', schemaname, tablename), false, true, '')))[1], ' ' ORDER BY tablename)
FROM pg_tables WHERE schemaname = current_schema()`).Scan(&counts).Error
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func malformedBodies(on Surface) []Malformed {
	const malformed = "malformed_json"
	open := strings.TrimSuffix(on.Body, "}")
	var requests []Malformed
	for name, body := range map[string]string{
		"blank":             " \n",
		"null":              "null",
		"array":             "[" + on.Body + "]",
		"string":            `"a"`,
		"number":            "1",
		"truncated":         open,
		"two values":        on.Body + on.Body,
		"trailing comma":    open + ",}",
		"comment":           open + "/**/}",
		"single quotes":     "{'a':1}",
		"duplicate name":    open + `,"a":1,"a":2}`,
		"duplicate escaped": open + `,"a":1,"\u0061":2}`,
		"NUL":               open + `,"a":"\u0000"}`,
		"NUL in a name":     open + `,"\u0000":1}`,
		"raw control":       open + ",\"a\":\"\x01\"}",
		"not UTF-8":         open + ",\"a\":\"\xff\"}",
		"lone surrogate":    open + `,"a":"\ud800"}`,
		"byte order mark":   "\ufeff" + on.Body,
		"NaN":               open + `,"a":NaN}`,
		"deep":              open + `,"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}",
		"very deep":         strings.Repeat(`{"a":`, 100_000),
	} {
		requests = append(requests, Malformed{Name: "body/" + name, Method: on.Method, Target: on.Target, Body: body, Status: 400, Code: malformed})
	}
	unknown := strings.Repeat("é", 200)
	return append(requests,
		Malformed{Name: "body/too large", Method: on.Method, Target: on.Target, Body: on.Body + strings.Repeat(" ", 1<<20), Status: 413, Code: "body_too_large"},
		Malformed{Name: "body/unknown name", Method: on.Method, Target: on.Target, Body: open + `,"` + unknown + `":{"a":[null]}}`,
			Status: 400, Code: "validation_failed", Fields: []string{unknown[:2*64] + "…"}},
		Malformed{Name: "body/prototype", Method: on.Method, Target: on.Target, Body: open + `,"__proto__":{},"Constructor":1}`,
			Status: 400, Code: "validation_failed", Fields: []string{"__proto__", "Constructor"}})
}

func malformedHeaders(on Surface) []Malformed {
	with := func(name string, status int, code string, header ...string) Malformed {
		return Malformed{Name: "header/" + name, Method: on.Method, Target: on.Target, Body: on.Body, Header: header, Status: status, Code: code}
	}
	const media, encoding, key, token = "unsupported_media_type", "unsupported_encoding", "invalid_idempotency_key", "X-Service-Token"
	bare := with("no token", 401, "service_token_required")
	bare.Anonymous = true
	requests := []Malformed{
		bare,
		with("bad token", 401, "invalid_service_token", token, "a.b.c"),
		with("two tokens", 401, "invalid_service_token", token, "a.b.c", token, "a.b.c"),
		with("huge token", 401, "invalid_service_token", token, strings.Repeat("a", 5000)),
		with("no media type", 415, media, "Content-Type", ""),
		with("text", 415, media, "Content-Type", "text/plain"),
		with("form", 415, media, "Content-Type", "application/x-www-form-urlencoded"),
		with("other charset", 415, media, "Content-Type", "application/json; charset=latin1"),
		with("two media types", 415, media, "Content-Type", "application/json", "Content-Type", "application/json"),
		with("gzip", 415, encoding, "Content-Encoding", "gzip"),
		with("two encodings", 415, encoding, "Content-Encoding", "identity", "Content-Encoding", "gzip"),
	}
	if on.Method != http.MethodPost {
		return requests
	}
	return append(requests,
		with("two keys", 400, key, "Idempotency-Key", "a", "Idempotency-Key", "a"),
		with("key with control", 400, key, "Idempotency-Key", "a\x01"),
		with("key not ASCII", 400, key, "Idempotency-Key", "é"),
		with("long key", 400, key, "Idempotency-Key", strings.Repeat("k", 256)))
}

func malformedQueries(on Surface) []Malformed {
	var requests []Malformed
	for query, fields := range map[string][]string{
		"limit=0": {"limit"}, "limit=101": {"limit"}, "limit=-1": {"limit"}, "limit=05": {"limit"}, "limit=%2B5": {"limit"},
		"limit=1.5": {"limit"}, "limit=1e1": {"limit"}, "limit=": {"limit"}, "limit=99999999999999999999": {"limit"}, "limit=1&limit=1": {"limit"},
		"cursor=": {"cursor"}, "cursor=!": {"cursor"}, "cursor=bm8tdXVpZA": {"cursor"}, "cursor=YQ%0A": {"cursor"}, "Limit=5": {"Limit"},
		"limit=%zz": {""}, "limit=1;cursor=a": {""}, "a=%00": {"a"}, "limit=x&cursor=x&page=2&%ff=1": {"limit", "cursor", "page", "\ufffd"},
		strings.Repeat("a", 1000) + "=1": {strings.Repeat("a", 64) + "…"},
	} {
		requests = append(requests, Malformed{
			Name: "query/" + query[:min(len(query), 40)], Method: http.MethodGet, Target: on.List + "?" + query,
			Status: 400, Code: "invalid_query", Fields: fields,
		})
	}
	return requests
}

func malformedPaths(on Surface) []Malformed {
	const id = "0199aa3e-7c00-7000-8000-000000000001"
	var requests []Malformed
	for _, path := range []string{
		"1", "urn:uuid:" + id, "%7B" + id + "%7D", strings.ReplaceAll(id, "-", ""), "x" + id + "x", id + "%00", id + "%0A", "%ff",
		strings.Repeat("a", 5000),
	} {
		requests = append(requests, Malformed{
			Name: "path/" + path[:min(len(path), 50)], Method: http.MethodGet, Target: on.One + path, Status: 400, Code: "invalid_id",
		})
	}
	return append(requests,
		Malformed{Name: "path/unknown", Method: http.MethodGet, Target: on.List + "x", Status: 404, Code: "not_found"},
		Malformed{Name: "path/method", Method: http.MethodPut, Target: on.One + id, Status: 405, Code: "method_not_allowed"},
		Malformed{Name: "path/no method", Method: "BREW", Target: on.List, Status: 405, Code: "method_not_allowed"},
		Malformed{Name: "path/precondition", Method: http.MethodGet, Target: on.One + id, Header: []string{"If-None-Match", "*"}, Status: 404,
			Code: strings.TrimSuffix(strings.Trim(on.One, "/"), "s") + "_not_found"})
}
