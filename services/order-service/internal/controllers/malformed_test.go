package controllers_test

import (
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestMalformedRequests(t *testing.T) {
	b := setup(t)
	one := "/orders/" + b.place(t).ID.String()
	known := b.users.known.String()
	const invalid, item = "validation_failed", `{"sku":"a","quantity":1,"unitPrice":1}`
	post := func(name, body string, fields ...string) apitest.Malformed {
		return apitest.Malformed{Name: name, Method: "POST", Target: "/orders", Body: body, Status: 400, Code: invalid, Fields: fields}
	}
	requests := []apitest.Malformed{
		post("nothing", `{}`, "userId", "items"),
		post("all of one body", `{"userId":"x","currency":5,"items":[{"sku":"a b","quantity":0,"unitPrice":null,"x":1},7],"total":1}`,
			"userId", "currency", "items[0].sku", "items[0].quantity", "items[0].unitPrice", "items[0].x", "items[1]", "total"),
		post("nil user", `{"userId":"00000000-0000-0000-0000-000000000000","items":[`+item+`]}`, "userId"),
		post("user as a URN", `{"userId":"urn:uuid:`+known+`","items":[`+item+`]}`, "userId"),
		post("user in braces", `{"userId":"{`+known+`}","items":[`+item+`]}`, "userId"),
		post("user without hyphens", `{"userId":"`+strings.ReplaceAll(known, "-", "")+`","items":[`+item+`]}`, "userId"),
		post("no items", `{"userId":"`+known+`","items":[]}`, "items"),
		post("101 items", `{"userId":"`+known+`","items":[`+strings.Repeat(item+",", 100)+item+`]}`, "items"),
		post("fractions", `{"userId":"`+known+`","items":[{"sku":"a","quantity":1.5,"unitPrice":1e400}]}`, "items[0].quantity", "items[0].unitPrice"),
		post("numbers as text", `{"userId":"`+known+`","items":[{"sku":"a","quantity":"1","unitPrice":"1"}]}`, "items[0].quantity", "items[0].unitPrice"),
		post("out of range", `{"userId":"`+known+`","items":[{"sku":"a","quantity":9223372036854775808,"unitPrice":-1}]}`, "items[0].quantity", "items[0].unitPrice"),
		post("no currency", `{"userId":"`+known+`","currency":"XXQ","items":[`+item+`]}`, "currency"),
		post("many", `{"userId":"`+known+`","items":[`+strings.Repeat(`{"sku":1},`, 40)+item+`]}`),
		{Name: "total", Method: "POST", Target: "/orders", Body: `{"userId":"` + known + `","items":[{"sku":"a","quantity":1000000,"unitPrice":1000000000000}]}`,
			Status: 422, Code: "order_total_too_large"},
		{Name: "filters", Method: "GET", Target: "/orders?userId=x&status=x&limit=x&cursor=bm8tdXVpZA&sort=x", Status: 400, Code: "invalid_query",
			Fields: []string{"userId", "status", "limit", "cursor", "sort"}},
		{Name: "empty filters", Method: "GET", Target: "/orders?userId=&status=", Status: 400, Code: "invalid_query", Fields: []string{"userId", "status"}},
		{Name: "another version", Method: "POST", Target: one + "/complete", Header: []string{"If-Match", `"x"`}, Status: 412, Code: "precondition_failed"},
		{Name: "bad version", Method: "POST", Target: one + "/cancel", Header: []string{"If-Match", `"x`}, Status: 400, Code: "invalid_precondition"},
		{Name: "bad id", Method: "POST", Target: "/orders/1/complete", Status: 400, Code: "invalid_id"},
		{Name: "unknown action", Method: "POST", Target: one + "/refund", Status: 404, Code: "not_found"},
	}
	b.RefusesMalformed(t, apitest.Surface{Method: "POST", Target: "/orders", Body: b.body(1), List: "/orders", One: "/orders/"}, requests...)
	if asked := b.users.asked.Load(); asked != 1 {
		t.Errorf("user-service was called %d times, want once, for the order", asked)
	}
}
