// Package routes lists the HTTP routes and event subscriptions of order-service.
package routes

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/services/order-service/internal/config"
	"github.com/go-troika/troika/services/order-service/internal/controllers"
	"github.com/go-troika/troika/services/order-service/internal/middleware"
	"github.com/go-troika/troika/services/order-service/internal/services"
)

// Wire builds the service on ch. Each route lists the identities that it takes.
func Wire(ch *chassis.Chassis, cfg config.Config) error {
	users := ch.Client(contracts.UserService, serviceclient.Config{Breaker: cfg.Breaker})
	service := services.NewOrders(ch.DB, users)
	orders := controllers.NewOrders(service)

	ch.VerifyUsers(contracts.UserService)
	r, callers := ch.HTTP.Router(), httpserver.Callers
	r.POST("/orders", callers(contracts.Gateway).OrUser(), httpserver.Idempotent(), httpserver.Handle(orders.Create))
	r.GET("/orders", callers(contracts.Gateway).OrUser(), middleware.AcceptPost, httpserver.Handle(orders.List))
	r.GET("/orders/:id", callers(contracts.Gateway).OrUser(), httpserver.Handle(orders.Show))
	r.POST("/orders/:id/complete", callers(contracts.Gateway), httpserver.Handle(orders.Complete))
	r.POST("/orders/:id/cancel", callers(contracts.Gateway).OrUser(), httpserver.Handle(orders.Cancel))

	ch.Relay()
	ch.Consume(Events(service))
	return nil
}

// Events returns the subscriptions of the service.
func Events(orders *services.Orders) *events.Subscriptions {
	s := events.NewSubscriptions()
	events.On(s, contracts.UserDeleted, orders.OnUserDeleted)
	return s
}
