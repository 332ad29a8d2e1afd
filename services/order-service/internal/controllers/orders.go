// Package controllers turns requests to order-service into calls of its
// services, and their results into answers.
package controllers

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/order-service/internal/models"
	"github.com/go-troika/troika/services/order-service/internal/services"
)

// Orders answers the requests under /orders.
type Orders struct {
	orders *services.Orders
}

// NewOrders returns a controller over orders.
func NewOrders(orders *services.Orders) *Orders {
	return &Orders{orders: orders}
}

// Create answers POST /orders with 201 and the new order, or the one that the
// same Idempotency-Key made before, in the same words.
func (ctl *Orders) Create(c *gin.Context) error {
	in, err := httpserver.Bind[createOrder](c)
	if err != nil {
		return err
	}
	order, replayed, err := ctl.orders.Place(c.Request.Context(), in.order())
	if err != nil {
		return err
	}
	if replayed {
		httpserver.Replayed(c)
	}
	c.Header("Location", "/orders/"+order.ID.String())
	return httpserver.JSON(c, http.StatusCreated, view(order))
}

// Show answers GET /orders/:id.
func (ctl *Orders) Show(c *gin.Context) error {
	return ctl.one(c, ctl.orders.Get)
}

// Complete answers POST /orders/:id/complete with the completed order.
func (ctl *Orders) Complete(c *gin.Context) error {
	return ctl.one(c, ctl.orders.Complete)
}

// Cancel answers POST /orders/:id/cancel with the cancelled order.
func (ctl *Orders) Cancel(c *gin.Context) error {
	return ctl.one(c, ctl.orders.Cancel)
}

// List answers GET /orders with one page, by id.
func (ctl *Orders) List(c *gin.Context) error {
	var filter models.Filter
	page, err := httpserver.BindPage(c, filters(&filter)...)
	if err != nil {
		return err
	}
	after, err := page.AfterUUID()
	if err != nil {
		return err
	}
	orders, err := ctl.orders.List(c.Request.Context(), filter, after, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]orderView, len(orders))
	for i, o := range orders {
		views[i] = view(o)
	}
	return httpserver.JSON(c, http.StatusOK, httpserver.NewList(views, page.Limit, orderID))
}

// one answers with what do makes of the order in the path.
func (ctl *Orders) one(c *gin.Context, do func(context.Context, uuid.UUID) (models.Order, error)) error {
	id, err := httpserver.PathUUID(c, "id")
	if err != nil {
		return err
	}
	order, err := do(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return httpserver.JSON(c, http.StatusOK, view(order))
}
