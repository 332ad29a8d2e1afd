package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestCreate(t *testing.T) {
	b := setup(t)

	body := fmt.Sprintf(`{"userId": %q, "items": [
		{"sku": "ice-axe", "quantity": 2, "unitPrice": 1999}, {"sku": "free_map.v2", "quantity": 1, "unitPrice": 0}]}`, b.users.known)
	answer := b.Call(t, contracts.Gateway, "POST", "/orders", body)
	created := apitest.Decode[order](t, answer, http.StatusCreated)

	want := order{
		ID: created.ID, UserID: b.users.known, Status: "pending", Currency: "USD", Total: 3998,
		Items:     []item{{"ice-axe", 2, 1999}, {"free_map.v2", 1, 0}},
		CreatedAt: created.CreatedAt, UpdatedAt: created.CreatedAt,
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if created.ID.Version() != 7 || answer.Header.Get("Location") != "/orders/"+created.ID.String() {
		t.Errorf("got id %s and Location %s, want a UUIDv7 and its place", created.ID, answer.Header.Get("Location"))
	}
	shown := b.Call(t, contracts.Gateway, "GET", "/orders/"+created.ID.String(), "")
	if diff := cmp.Diff(answer.Body, shown.Body); diff != "" {
		t.Errorf("created and shown differ:\n%s", diff)
	}
	published := testkit.Published(t, b.Data)
	if len(published) != 1 {
		t.Fatalf("got %v, want one event", published)
	}
	data := fmt.Sprintf(`{"orderId":%q,"userId":%q,"currency":"USD","total":3998,"at":%q}`,
		created.ID, created.UserID, created.CreatedAt.Format("2006-01-02T15:04:05.999999Z07:00"))
	if e := published[0]; e.Event != "order.created" || string(e.Data) != data {
		t.Errorf("got %s with %s, want order.created with %s", e.Event, e.Data, data)
	}
}

func TestCreateRefuses(t *testing.T) {
	b := setup(t)
	const one = `{"sku": "a", "quantity": 1, "unitPrice": 1}`
	for name, tc := range map[string]struct {
		fields []string
		body   string
	}{
		"nothing":        {[]string{"userId", "items"}, `{}`},
		"no items":       {[]string{"items"}, `{"userId": "@", "items": []}`},
		"too many items": {[]string{"items"}, `{"userId": "@", "items": [` + strings.Repeat(one+",", 100) + one + `]}`},
		"malformed user": {[]string{"userId"}, `{"userId": "ada", "items": [` + one + `]}`},
		"currency":       {[]string{"currency"}, `{"userId": "@", "currency": "usd", "items": [` + one + `]}`},
		"empty currency": {[]string{"currency"}, `{"userId": "@", "currency": "", "items": [` + one + `]}`},
		"no price":       {[]string{"items[0].unitPrice"}, `{"userId": "@", "items": [{"sku": "a", "quantity": 1}]}`},
		"all too low":    {[]string{"items[0].sku", "items[0].quantity", "items[0].unitPrice"}, `{"userId": "@", "items": [{"sku": "", "quantity": 0, "unitPrice": -1}]}`},
		"all too high": {[]string{"items[0].sku", "items[0].quantity", "items[0].unitPrice"},
			`{"userId": "@", "items": [{"sku": "` + strings.Repeat("s", 65) + `", "quantity": 1000001, "unitPrice": 1000000000001}]}`},
		"blank in sku": {[]string{"items[1].sku"}, `{"userId": "@", "items": [` + one + `, {"sku": "a b", "quantity": 1, "unitPrice": 1}]}`},
		"fractions":    {[]string{"items[0].quantity", "items[0].unitPrice"}, `{"userId": "@", "items": [{"sku": "a", "quantity": 1.5, "unitPrice": 0.1}]}`},
		"own total":    {[]string{"total"}, `{"userId": "@", "total": 1, "items": [` + one + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := strings.ReplaceAll(tc.body, "@", b.users.known.String())
			p := b.Refuses(t, http.StatusBadRequest, "validation_failed", "POST", "/orders", body)
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("invalid fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTotal(t *testing.T) {
	b := setup(t)
	ask := func(quantity, unitPrice int64) apitest.Answer {
		return b.Call(t, contracts.Gateway, "POST", "/orders", fmt.Sprintf(
			`{"userId": %q, "items": [{"sku": "a", "quantity": %d, "unitPrice": %d}, {"sku": "b", "quantity": 1, "unitPrice": 254740991}]}`,
			b.users.known, quantity, unitPrice))
	}
	most := apitest.Decode[order](t, ask(1_000_000, 9_007_199_000), http.StatusCreated)
	if most.Total != 1<<53-1 {
		t.Errorf("got total %d, want 2⁵³−1", most.Total)
	}
	for _, quantity := range []int64{1_000_000, 10_000} {
		p := apitest.Decode[apitest.Problem](t, ask(quantity, 1_000_000_000_000), http.StatusUnprocessableEntity)
		if p.Code != "order_total_too_large" {
			t.Errorf("got code %s, want order_total_too_large", p.Code)
		}
	}
}

func TestSettle(t *testing.T) {
	for _, tc := range []struct{ do, status, undo string }{
		{"complete", "completed", "cancel"},
		{"cancel", "cancelled", "complete"},
	} {
		t.Run(tc.do, func(t *testing.T) {
			b := setup(t)
			placed := b.place(t)
			target := "/orders/" + placed.ID.String()

			first := b.Call(t, contracts.Gateway, "POST", target+"/"+tc.do, "")
			settled := apitest.Decode[order](t, first, http.StatusOK)
			if settled.Status != tc.status || !settled.UpdatedAt.After(placed.UpdatedAt) || len(settled.Items) != 1 {
				t.Errorf("got %+v, want the whole order, %s later", settled, tc.status)
			}
			for name, again := range map[string]apitest.Answer{
				"again": b.Call(t, contracts.Gateway, "POST", target+"/"+tc.do, ""), "shown": b.Call(t, contracts.Gateway, "GET", target, ""),
			} {
				if diff := cmp.Diff(first.Body, again.Body); diff != "" {
					t.Errorf("%s (-first +%s):\n%s", name, name, diff)
				}
			}
			b.Refuses(t, http.StatusConflict, "order_not_pending", "POST", target+"/"+tc.undo, "")

			key := " " + placed.ID.String()
			if diff := cmp.Diff([]string{"order.created" + key, "order." + tc.status + key}, b.Published(t)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettleRefuses(t *testing.T) {
	b := setup(t)
	for _, action := range []string{"", "/complete", "/cancel"} {
		method := "POST"
		if action == "" {
			method = "GET"
		}
		b.Refuses(t, http.StatusNotFound, "order_not_found", method, "/orders/"+uuid.NewString()+action, "")
		b.Refuses(t, http.StatusBadRequest, "invalid_id", method, "/orders/1"+action, "")
	}
}

func TestOneSettlementWins(t *testing.T) {
	b := setup(t)
	target := "/orders/" + b.place(t).ID.String()
	actions := []string{"complete", "cancel"}
	statuses := make([]int, 8)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i] = b.Call(t, contracts.Gateway, "POST", target+"/"+actions[i%2], "").Status })
	}
	wg.Wait()

	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusOK: 4, http.StatusConflict: 4}, count); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if events := b.Published(t); len(events) != 2 {
		t.Errorf("got %v, want one settlement", events)
	}
}

func TestList(t *testing.T) {
	b := setup(t)
	var all []order
	for range 5 {
		all = append(all, b.place(t))
	}
	for i, action := range []string{"complete", "cancel"} {
		answer := b.Call(t, contracts.Gateway, "POST", "/orders/"+all[i].ID.String()+"/"+action, "")
		all[i] = apitest.Decode[order](t, answer, http.StatusOK)
	}
	known := b.users.known.String()
	for query, want := range map[string][]order{
		"":                                  all,
		"&userId=" + known:                  all,
		"&status=pending":                   all[2:],
		"&status=completed&userId=" + known: all[:1],
		"&status=cancelled":                 all[1:2],
		"&userId=" + uuid.NewString():       nil,
		"&userId=" + strings.ToUpper(known): all,
	} {
		if diff := cmp.Diff(want, b.list(t, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"userId=1", "userId=", "status=open", "status=", "status=pending&status=pending", "user=1", "limit=101", "cursor=x"} {
		b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/orders?"+query, "")
	}
}

// list reads all pages of two orders each.
func (b bundle) list(t *testing.T, query string) []order {
	t.Helper()
	var got []order
	for cursor := ""; ; {
		answer := b.Call(t, contracts.Gateway, "GET", "/orders?limit=2"+query+cursor, "")
		page := apitest.Decode[httpserver.List[order]](t, answer, http.StatusOK)
		got = append(got, page.Items...)
		if page.NextCursor == "" {
			return got
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

func TestCallers(t *testing.T) {
	b := setup(t)
	one := "/orders/" + b.place(t).ID.String()
	for _, route := range []struct{ method, target, body string }{
		{"POST", "/orders", b.body(1)}, {"GET", "/orders", ""}, {"GET", one, ""},
		{"POST", one + "/complete", ""}, {"POST", one + "/cancel", ""},
	} {
		for caller, want := range map[string]int{
			"": http.StatusUnauthorized, contracts.UserService: http.StatusForbidden, contracts.OrderService: http.StatusForbidden,
		} {
			if got := b.Call(t, caller, route.method, route.target, route.body); got.Status != want {
				t.Errorf("%s %s by %q: got %d, want %d", route.method, route.target, caller, got.Status, want)
			}
		}
	}
}

func TestRoutesAreDocumented(t *testing.T) {
	b := setup(t)
	b.Documented(t)
}

func TestListNamesTheTypeOfAPost(t *testing.T) {
	b := setup(t)
	got := b.Call(t, contracts.Gateway, "GET", "/orders", "")
	if got.Status != http.StatusOK || got.Header.Get("Accept-Post") != "application/json" {
		t.Errorf("got %d, Accept-Post %q", got.Status, got.Header.Get("Accept-Post"))
	}
}
