// Package routes lists every way into order-service.
package routes

import (
	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/services/order-service/internal/controllers"
	"github.com/go-troika/troika/services/order-service/internal/middleware"
)

// HTTP adds the service's routes to r. Each asks v for a service token and
// names who may call it.
func HTTP(r gin.IRouter, v *serviceauth.Verifier, orders *controllers.Orders) {
	people := middleware.People(v)

	r.POST("/orders", people, httpserver.Idempotent(), httpserver.Handle(orders.Create))
	r.GET("/orders", people, httpserver.Handle(orders.List))
	r.GET("/orders/:id", people, httpserver.Handle(orders.Show))
	r.POST("/orders/:id/complete", people, httpserver.Handle(orders.Complete))
	r.POST("/orders/:id/cancel", people, httpserver.Handle(orders.Cancel))
}
