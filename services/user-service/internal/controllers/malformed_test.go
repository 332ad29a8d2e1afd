package controllers_test

import (
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestMalformedRequests(t *testing.T) {
	b := setup(t)
	target := "/users/" + b.register(t, "ada@example.com", "Ada").ID.String()
	const create, invalid = `{"email":"bob@example.com","name":"Bob"}`, "validation_failed"
	requests := []apitest.Malformed{
		{Name: "all of one body", Method: "POST", Target: "/users", Body: `{"email":"x","name":null,"admin":true,"Email":1}`,
			Status: 400, Code: invalid, Fields: []string{"email", "name", "admin", "Email"}},
		{Name: "nothing", Method: "POST", Target: "/users", Body: `{}`, Status: 400, Code: invalid, Fields: []string{"email", "name"}},
		{Name: "taken", Method: "POST", Target: "/users", Body: `{"email":"ADA@example.com","name":"A"}`, Status: 409, Code: "email_taken"},
		{Name: "patch of nothing", Method: "PATCH", Target: target, Body: `{}`, Status: 400, Code: "nothing_to_change"},
		{Name: "patch with null", Method: "PATCH", Target: target, Body: `{"email":null,"name":7}`, Status: 400, Code: invalid, Fields: []string{"email", "name"}},
		{Name: "patch of another version", Method: "PATCH", Target: target, Body: `{"name":"B"}`, Header: []string{"If-Match", `"x"`}, Status: 412, Code: "precondition_failed"},
		{Name: "patch with a bad version", Method: "PATCH", Target: target, Body: `{"name":"B"}`, Header: []string{"If-Match", `x`}, Status: 400, Code: "invalid_precondition"},
		{Name: "delete with a bad id", Method: "DELETE", Target: "/users/1", Status: 400, Code: "invalid_id"},
	}
	for _, name := range []string{"", " ", "\\u200b", "a\\u202eb", "a\\u001b[31m", "\\u3164", "a\\nb", strings.Repeat("x", 201), "\\ufeffa"} {
		requests = append(requests, apitest.Malformed{Name: "name/" + name[:min(len(name), 20)], Method: "POST", Target: "/users",
			Body: `{"email":"bob@example.com","name":"` + name + `"}`, Status: 400, Code: invalid, Fields: []string{"name"}})
	}
	for _, email := range []string{"bob", "b b@example.com", "mi\u212ae@example.com", "b@b\u00fccher.example", "b@xn--a.example", "b@127.0.0.1", strings.Repeat("b", 500_000) + "@example.com"} {
		requests = append(requests, apitest.Malformed{Name: "email/" + email[:min(len(email), 20)], Method: "POST", Target: "/users",
			Body: `{"email":"` + email + `","name":"Bob"}`, Status: 400, Code: invalid, Fields: []string{"email"}})
	}
	b.RefusesMalformed(t, apitest.Surface{Method: "POST", Target: "/users", Body: create, List: "/users", One: "/users/"}, requests...)
}
