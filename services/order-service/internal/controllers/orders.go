// Package controllers translates between HTTP and the services of order-service.
package controllers

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/order-service/internal/models"
	"github.com/go-troika/troika/services/order-service/internal/services"
)

// Orders handles the requests under /orders.
type Orders struct {
	orders *services.Orders
}

// NewOrders returns a controller over orders.
func NewOrders(orders *services.Orders) *Orders {
	return &Orders{orders: orders}
}

// Create handles POST /orders: 201 with the new order, or, byte for byte, with the one
// that an earlier request with the same Idempotency-Key placed.
func (ctl *Orders) Create(c *gin.Context) error {
	in, err := bindOrder(c)
	if err != nil {
		return err
	}
	order, err := ctl.orders.Place(c.Request.Context(), *in.UserID, in.currency(), in.items())
	if err != nil {
		return err
	}
	c.Header("Location", "/orders/"+order.ID.String())
	return httpserver.Resource(c, http.StatusCreated, view(order))
}

// Show handles GET /orders/:id.
func (ctl *Orders) Show(c *gin.Context) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	order, err := ctl.orders.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(order))
}

// Complete handles POST /orders/:id/complete and returns the completed order.
func (ctl *Orders) Complete(c *gin.Context) error {
	return ctl.settle(c, ctl.orders.Complete)
}

// Cancel handles POST /orders/:id/cancel and returns the cancelled order.
func (ctl *Orders) Cancel(c *gin.Context) error {
	return ctl.settle(c, ctl.orders.Cancel)
}

// List handles GET /orders: one page, ordered by id.
func (ctl *Orders) List(c *gin.Context) error {
	var filter models.Filter
	page, err := httpserver.BindPage(c, filters(&filter)...)
	if err != nil {
		return err
	}
	orders, err := ctl.orders.List(c.Request.Context(), filter, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]orderView, len(orders))
	for i, o := range orders {
		views[i] = view(o)
	}
	return httpserver.JSON(c, http.StatusOK, httpserver.NewList(views, page.Limit, orderID))
}

// settlement is Complete or Cancel of the service.
type settlement func(ctx context.Context, id uuid.UUID, check func(models.Order) error) (models.Order, error)

// settle calls do with the id in the path and responds with the order.
func (ctl *Orders) settle(c *gin.Context, do settlement) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	unchanged, err := httpserver.IfMatch(c, view)
	if err != nil {
		return err
	}
	order, err := do(c.Request.Context(), id, unchanged)
	if err != nil {
		return err
	}
	return httpserver.Resource(c, http.StatusOK, view(order))
}

// createOrder is the body of POST /orders. Money is in minor units.
type createOrder struct {
	UserID   *uuid.UUID `json:"userId" validate:"required"`
	Currency *string    `json:"currency" validate:"omitnil,iso4217"`
	Items    []item     `json:"items" validate:"min=1,max=100,dive"`
}

// createOwnOrder is the body of a person's POST /orders.
type createOwnOrder struct {
	UserID   *uuid.UUID `json:"userId"`
	Currency *string    `json:"currency" validate:"omitnil,iso4217"`
	Items    []item     `json:"items" validate:"min=1,max=100,dive"`
}

// bindOrder reads the body of POST /orders, in which a person may leave out the userId.
func bindOrder(c *gin.Context) (createOrder, error) {
	user, ok := userauth.User(c.Request.Context())
	if !ok {
		return httpserver.Bind[createOrder](c)
	}
	own, err := httpserver.Bind[createOwnOrder](c)
	if own.UserID == nil {
		own.UserID = &user
	}
	return createOrder(own), err
}

type item struct {
	SKU       sku    `json:"sku" validate:"required"`
	Quantity  int64  `json:"quantity" validate:"min=1,max=1000000"`
	UnitPrice *int64 `json:"unitPrice" validate:"required,min=0,max=1000000000000"`
}

// sku is an article number: 1 to 64 letters, digits, dots, hyphens and underscores.
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

func (in createOrder) currency() string {
	if in.Currency == nil {
		return services.DefaultCurrency
	}
	return *in.Currency
}

func (in createOrder) items() []models.Item {
	items := make([]models.Item, len(in.Items))
	for i, it := range in.Items {
		items[i] = models.Item{SKU: string(it.SKU), Quantity: it.Quantity, UnitPrice: *it.UnitPrice}
	}
	return items
}

// orderView is an order in a response.
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

func orderID(o orderView) uuid.UUID { return o.ID }

var statuses = []string{models.Pending, models.Completed, models.Cancelled}

// filters parse userId and status of the query into f.
func filters(f *models.Filter) []httpserver.Param {
	return []httpserver.Param{
		httpserver.UUIDParam("userId", func(id uuid.UUID) { f.UserID = &id }),
		{Name: "status", Take: func(value string) string {
			if !slices.Contains(statuses, value) {
				return "must be one of: pending, completed, cancelled"
			}
			f.Status = &value
			return ""
		}},
	}
}
