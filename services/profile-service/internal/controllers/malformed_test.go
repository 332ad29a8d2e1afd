package controllers_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestMalformedRequests(t *testing.T) {
	b := setup(t)
	target := "/profiles/" + b.join(t, "Ada").UserID.String()
	const invalid = "validation_failed"
	patch := func(name, body string, fields ...string) apitest.Malformed {
		return apitest.Malformed{Name: name, Method: "PATCH", Target: target, Body: body, Status: 400, Code: invalid, Fields: fields}
	}
	requests := []apitest.Malformed{
		patch("all of one body", `{"displayName":"","bio":7,"avatarUrl":"x","Bio":"a","userId":null}`, "displayName", "bio", "avatarUrl", "Bio", "userId"),
		patch("nulls", `{"displayName":null,"bio":null,"avatarUrl":null}`, "displayName", "bio", "avatarUrl"),
		patch("control in bio", `{"bio":"a\u0007"}`, "bio"),
		patch("override in bio", `{"bio":"a\u202eb"}`, "bio"),
		patch("long bio", `{"bio":"`+strings.Repeat("é", 2001)+`"}`, "bio"),
		{Name: "nothing", Method: "PATCH", Target: target, Body: `{}`, Status: 400, Code: "nothing_to_change"},
		{Name: "unknown user", Method: "PATCH", Target: "/profiles/" + uuid.NewString(), Body: `{"bio":"a"}`, Status: 404, Code: "profile_not_found"},
		{Name: "no version", Method: "PATCH", Target: "/v2" + target, Body: `{"bio":"a"}`, Status: 428, Code: "precondition_required"},
		{Name: "another version", Method: "PATCH", Target: "/v2" + target, Body: `{"bio":"a"}`, Header: []string{"If-Match", `"x"`}, Status: 412, Code: "precondition_failed"},
	}
	for _, url := range []string{
		`https://\"onerror=alert(1)`, "https://a<b>.com/", "https://*/", "https://a.example:99999/", "https://a.example/a b", "http://a.example/",
		"javascript:alert(1)", "https://a.example/?q=%zz", "https://u:p@a.example/", "https://xn--a.example/", "//a.example",
	} {
		requests = append(requests, patch("url/"+url, `{"avatarUrl":"`+url+`"}`, "avatarUrl"))
	}
	b.RefusesMalformed(t, apitest.Surface{Method: "PATCH", Target: target, Body: `{"bio":"a"}`, List: "/profiles", One: "/profiles/"}, requests...)
}
