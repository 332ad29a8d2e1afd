package controllers

import (
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/order-service/internal/models"
)

// createOrder is the body of POST /orders. Money is in minor units.
type createOrder struct {
	UserID   uuid.UUID `json:"userId" validate:"required"`
	Currency *string   `json:"currency" validate:"omitnil,iso4217"`
	Items    []item    `json:"items" validate:"min=1,max=100,dive"`
}

type item struct {
	SKU       sku    `json:"sku" validate:"required"`
	Quantity  int64  `json:"quantity" validate:"min=1,max=1000000"`
	UnitPrice *int64 `json:"unitPrice" validate:"required,min=0,max=1000000000000"`
}

// sku names an article: 1 to 64 letters, digits, dots, hyphens and underscores.
type sku string

var skuPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

var errSKU = fault.New(fault.Malformed, "validation_failed", "must be 1 to 64 letters, digits, dots, hyphens and underscores")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *sku) UnmarshalText(text []byte) error {
	if !skuPattern.Match(text) {
		return errSKU
	}
	*s = sku(text)
	return nil
}

func (in createOrder) order() models.Order {
	order := models.Order{UserID: in.UserID, Items: make([]models.Item, len(in.Items))}
	if in.Currency != nil {
		order.Currency = *in.Currency
	}
	for i, it := range in.Items {
		order.Items[i] = models.Item{SKU: string(it.SKU), Quantity: it.Quantity, UnitPrice: *it.UnitPrice}
	}
	return order
}

// orderView is an order in an answer.
type orderView struct {
	ID        uuid.UUID `json:"id"`
	UserID    uuid.UUID `json:"userId"`
	Status    string    `json:"status"`
	Currency  string    `json:"currency"`
	Items     []item    `json:"items"`
	Total     int64     `json:"total"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func view(o models.Order) orderView {
	items := make([]item, len(o.Items))
	for i, it := range o.Items {
		items[i] = item{SKU: sku(it.SKU), Quantity: it.Quantity, UnitPrice: &it.UnitPrice}
	}
	return orderView{
		ID: o.ID, UserID: o.UserID, Status: o.Status, Currency: o.Currency, Items: items, Total: o.Total,
		CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(),
	}
}

func orderID(o orderView) string { return o.ID.String() }

var statuses = []string{models.Pending, models.Completed, models.Cancelled}

// filters keep userId and status of a query in f.
func filters(f *models.Filter) []httpserver.Filter {
	return []httpserver.Filter{
		httpserver.UUIDFilter("userId", func(id uuid.UUID) { f.UserID = &id }),
		{Name: "status", Take: func(value string) string {
			if !slices.Contains(statuses, value) {
				return "must be one of: pending, completed, cancelled"
			}
			f.Status = &value
			return ""
		}},
	}
}
