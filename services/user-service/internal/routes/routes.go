// Package routes lists the HTTP routes of user-service.
package routes

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/controllers"
	"github.com/go-troika/troika/services/user-service/internal/middleware"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

// Wire builds the service on ch. Each route lists the identities that it takes.
func Wire(ch *chassis.Chassis, _ config.Config) error {
	users := controllers.NewUsers(services.NewUsers(ch.DB))

	r, callers := ch.HTTP.Router(), httpserver.Callers
	r.POST("/users", callers(contracts.Gateway), httpserver.Idempotent(), httpserver.Handle(users.Create))
	r.GET("/users", callers(contracts.Gateway), httpserver.Handle(users.List))
	r.GET("/users/:id", callers(contracts.Gateway, contracts.OrderService).OrUser(), middleware.AcceptPatch, httpserver.Handle(users.Show))
	r.PATCH("/users/:id", callers(contracts.Gateway).OrUser(), httpserver.Handle(users.Update))
	r.DELETE("/users/:id", callers(contracts.Gateway).OrUser(), httpserver.Handle(users.Delete))

	ch.Relay()
	return nil
}
