package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
)

// profile is a profile as the API returns it.
type profile struct {
	UserID          string  `json:"userId"`
	DisplayName     string  `json:"displayName"`
	CompletedOrders int     `json:"completedOrders"`
	Spent           []spent `json:"spent"`
}

// spent sums the completed orders of one currency.
type spent struct {
	Currency string `json:"currency"`
	Orders   int    `json:"orders"`
	Total    int64  `json:"total"`
}

// problem is the body of every error.
type problem struct {
	Error     string         `json:"error"`
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Code      string         `json:"code"`
	Detail    string         `json:"detail"`
	Errors    []problemField `json:"errors"`
	RequestID string         `json:"requestId"`
	TraceID   string         `json:"traceId"`
}

// problemField is one invalid field of a request.
type problemField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// newOrder returns the body of an order of two items.
func newOrder(userID string) map[string]any {
	return map[string]any{"userId": userID, "currency": "USD", "items": []client.Item{
		{SKU: "harness", Quantity: 2, UnitPrice: 750},
		{SKU: "bell", Quantity: 1, UnitPrice: 499},
	}}
}

// orderTotal is the total of newOrder in minor units.
const orderTotal = 2*750 + 499

// try sends a request to any instance of the service. Its error means that there was no
// response.
func (b *bundle) try(service, method, path string, body any, changes ...client.Change) (client.Response, error) {
	instances := b.env.Instances(service)
	if len(instances) == 0 {
		return client.Response{}, fmt.Errorf("%s: no instance", service)
	}
	url := instances[rand.IntN(len(instances))].URL + path
	return b.client.Send(context.Background(), service, method, url, body, changes...)
}

// do is try for a request that must get a response.
func (b *bundle) do(service, method, path string, body any, changes ...client.Change) client.Response {
	b.Helper()
	r, err := b.try(service, method, path, body, changes...)
	if err != nil {
		b.Fatalf("%s: %s %s: %v", service, method, path, err)
	}
	return r
}

// decode checks the status of a response and decodes its body.
func decode[T any](tb testing.TB, r client.Response, status int) T {
	tb.Helper()
	if r.Status != status {
		tb.Fatalf("status %d, want %d: %s", r.Status, status, r.Body)
	}
	v, err := client.Parse[T](r)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// all reads every page of a list.
func all[T any](b *bundle, service, path string) []T {
	b.Helper()
	items, err := client.All[T](path, url.Values{}, func(path string) (client.Response, error) {
		return b.try(service, http.MethodGet, path, nil)
	})
	b.must(err)
	return items
}

// eventually is poll.Until for a test, which it fails. It works in a cleanup, too.
func eventually(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	if err := poll.Until(context.Background(), limit, check); err != nil {
		tb.Fatal(err)
	}
}

// register creates a user.
func (b *bundle) register() client.User {
	b.Helper()
	return decode[client.User](b, b.do(environment.User, http.MethodPost, "/users", client.NewUser()), http.StatusCreated)
}

// place places an order for the user.
func (b *bundle) place(userID string) client.Order {
	b.Helper()
	return decode[client.Order](b, b.do(environment.Order, http.MethodPost, "/orders", newOrder(userID)),
		http.StatusCreated)
}

// complete completes an order.
func (b *bundle) complete(orderID string) client.Order {
	b.Helper()
	return decode[client.Order](b, b.do(environment.Order, http.MethodPost, "/orders/"+orderID+"/complete", nil),
		http.StatusOK)
}

// buy places and completes n orders for the user.
func (b *bundle) buy(userID string, n int) {
	b.Helper()
	for range n {
		b.complete(b.place(userID).ID)
	}
}

// awaitProfile waits until the user's profile satisfies the check.
func (b *bundle) awaitProfile(userID string, within time.Duration, check func(profile) error) {
	b.Helper()
	eventually(b, within, func() error {
		r, err := b.try(environment.Profile, http.MethodGet, "/profiles/"+userID, nil)
		if err != nil {
			return err
		}
		if r.Status != http.StatusOK {
			return fmt.Errorf("profile of %s: status %d: %s", userID, r.Status, r.Body)
		}
		p, err := client.Parse[profile](r)
		if err != nil {
			return err
		}
		return check(p)
	})
}

// exists is a check of awaitProfile that any profile satisfies.
func exists(profile) error { return nil }

// counted is a check of awaitProfile: n orders of newOrder counted and summed.
func counted(n int) func(profile) error {
	return func(p profile) error {
		if p.CompletedOrders != n || len(p.Spent) != 1 || p.Spent[0] != (spent{"USD", n, int64(n) * orderTotal}) {
			return fmt.Errorf("%d orders counted, spent %+v; want %d, %d USD", p.CompletedOrders, p.Spent, n, n*orderTotal)
		}
		return nil
	}
}
