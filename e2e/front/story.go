package front

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-troika/troika/contracts"
)

// User is what user-service answers.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Order is what order-service answers.
type Order struct {
	ID       string `json:"id"`
	UserID   string `json:"userId"`
	Status   string `json:"status"`
	Currency string `json:"currency"`
	Items    []Item `json:"items"`
	Total    int64  `json:"total"`
}

// Item is one line of an order; the price is in minor units.
type Item struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unitPrice"`
}

// Profile is a profile as the API returns it.
type Profile struct {
	UserID          string  `json:"userId"`
	DisplayName     string  `json:"displayName"`
	CompletedOrders int     `json:"completedOrders"`
	Spent           []Spent `json:"spent"`
}

// Spent sums the completed orders of one currency.
type Spent struct {
	Currency string `json:"currency"`
	Orders   int    `json:"orders"`
	Total    int64  `json:"total"`
}

// Problem is the body of every error.
type Problem struct {
	Error     string         `json:"error"`
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Code      string         `json:"code"`
	Detail    string         `json:"detail"`
	Errors    []ProblemField `json:"errors"`
	RequestID string         `json:"requestId"`
	TraceID   string         `json:"traceId"`
}

// ProblemField is one invalid field of a request.
type ProblemField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// NewUser is the body of a registration with an email of its own.
func NewUser() map[string]any {
	name := Unique("musher")
	return map[string]any{"email": name + "@example.com", "name": name}
}

// NewOrder is the body of an order of two items, 1999 minor units in all.
func NewOrder(userID string) map[string]any {
	return map[string]any{"userId": userID, "currency": "USD", "items": []Item{
		{SKU: "harness", Quantity: 2, UnitPrice: 750},
		{SKU: "bell", Quantity: 1, UnitPrice: 499},
	}}
}

// OrderTotal is what NewOrder comes to.
const OrderTotal = 2*750 + 499

// Register creates a user.
func (f *Front) Register() User {
	f.tb.Helper()
	return Decode[User](f.tb, f.Do(contracts.UserService, http.MethodPost, "/users", NewUser()), http.StatusCreated)
}

// Place places an order for the user.
func (f *Front) Place(userID string) Order {
	f.tb.Helper()
	return Decode[Order](f.tb, f.Do(contracts.OrderService, http.MethodPost, "/orders", NewOrder(userID)), http.StatusCreated)
}

// Complete completes an order.
func (f *Front) Complete(orderID string) Order {
	f.tb.Helper()
	return Decode[Order](f.tb, f.Do(contracts.OrderService, http.MethodPost, "/orders/"+orderID+"/complete", nil), http.StatusOK)
}

// Buy places and completes n orders for the user.
func (f *Front) Buy(userID string, n int) {
	f.tb.Helper()
	for range n {
		f.Complete(f.Place(userID).ID)
	}
}

// AwaitProfile waits until the user's profile satisfies the check.
func (f *Front) AwaitProfile(userID string, within time.Duration, check func(Profile) error) {
	f.tb.Helper()
	Eventually(f.tb, within, func() error {
		a, err := f.Try(contracts.ProfileService, http.MethodGet, "/profiles/"+userID, nil)
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK {
			return fmt.Errorf("profile of %s: status %d: %s", userID, a.Status, a.Body)
		}
		p, err := Parse[Profile](a)
		if err != nil {
			return err
		}
		return check(p)
	})
}

// Exists is a check of AwaitProfile that any profile satisfies.
func Exists(Profile) error { return nil }

// Counted is a check of AwaitProfile: n orders of NewOrder counted and summed.
func Counted(n int) func(Profile) error {
	return func(p Profile) error {
		if p.CompletedOrders != n || len(p.Spent) != 1 ||
			p.Spent[0] != (Spent{"USD", n, int64(n) * OrderTotal}) {
			return fmt.Errorf("%d orders counted, spent %+v; want %d, %d USD", p.CompletedOrders, p.Spent, n, n*OrderTotal)
		}
		return nil
	}
}

// All reads every page of a list.
func All[T any](f *Front, service, path string) []T {
	f.tb.Helper()
	type page struct {
		Items      []T    `json:"items"`
		NextCursor string `json:"nextCursor"`
	}
	var all []T
	query := url.Values{"limit": {"100"}}
	for {
		p := Get[page](f, service, path+"?"+query.Encode())
		all = append(all, p.Items...)
		if p.NextCursor == "" {
			return all
		}
		query.Set("cursor", p.NextCursor)
	}
}
