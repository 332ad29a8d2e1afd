package controllers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

// The nil UUID is a valid user id without orders.
func TestNilUserHasNoOrders(t *testing.T) {
	b := setup(t)
	b.place(t)
	page := apitest.Decode[struct{ Items []order }](t,
		b.Call(t, contracts.Gateway, "GET", "/orders?userId=00000000-0000-0000-0000-000000000000", ""), http.StatusOK)
	if len(page.Items) != 0 {
		t.Errorf("the nil user is shown %d orders of others", len(page.Items))
	}
}

// The response lists all invalid fields, and a UUID has one form everywhere.
func TestAllProblemsAreListed(t *testing.T) {
	b := setup(t)
	named := func(p apitest.Problem) string {
		var names []string
		for _, e := range p.Errors {
			names = append(names, e.Field)
		}
		return strings.Join(names, " ")
	}
	p := b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/orders?userId=x&status=x&limit=x&cursor=x", "")
	if got := named(p); got != "cursor limit status userId" {
		t.Errorf("problems of %q", got)
	}
	// The cursor of no UUID is found beside the others.
	p = b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/orders?userId=x&cursor=bm8tdXVpZA", "")
	if got := named(p); got != "cursor userId" {
		t.Errorf("problems of %q", got)
	}
	for _, id := range []string{"urn:uuid:" + b.users.known.String(), strings.ReplaceAll(b.users.known.String(), "-", ""), "{" + b.users.known.String() + "}"} {
		p := b.Refuses(t, http.StatusBadRequest, "validation_failed", "POST", "/orders",
			`{"userId":"`+id+`","currency":null,"items":[{"sku":"a","quantity":1,"unitPrice":null}]}`)
		if got := named(p); got != "userId currency items[0].unitPrice" {
			t.Errorf("%s: problems of %q", id, got)
		}
		b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/orders?userId="+id, "")
	}
	for _, query := range []string{"limit=%2B5", "limit=05", "limit=0", "limit=101", "cursor=YQ%0A", "x=1&limit=5"} {
		b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/orders?"+query, "")
	}
	var many strings.Builder
	for n := range 2000 {
		many.WriteString("&" + strings.Repeat("x", n%7+1) + string(rune('a'+n%26)) + "=1")
	}
	if answer := b.Call(t, contracts.Gateway, "GET", "/orders?a=1"+many.String(), ""); len(answer.Body) > 8<<10 {
		t.Errorf("an answer of %d bytes", len(answer.Body))
	}
}
