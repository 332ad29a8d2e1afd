// Package routes lists the HTTP routes and event subscriptions of profile-service.
package routes

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/profile-service/internal/config"
	"github.com/go-troika/troika/services/profile-service/internal/controllers"
	"github.com/go-troika/troika/services/profile-service/internal/middleware"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// Wire builds the service on ch. Each route lists the identities that it takes.
func Wire(ch *chassis.Chassis, _ config.Config) error {
	service := services.NewProfiles(ch.DB)
	profiles := controllers.NewProfiles(service)

	ch.VerifyUsers(contracts.UserService)
	r, callers := ch.HTTP.Router(), httpserver.Callers
	r.GET("/profiles", callers(contracts.Gateway), httpserver.Handle(profiles.List))
	r.GET("/profiles/:userId", callers(contracts.Gateway).OrUser(), middleware.AcceptPatch, httpserver.Handle(profiles.Show))
	r.PATCH("/profiles/:userId", callers(contracts.Gateway).OrUser(), httpserver.Handle(profiles.Update))

	ch.Consume(Events(service))
	return nil
}

// Events returns the subscriptions of the service.
func Events(profiles *services.Profiles) *events.Subscriptions {
	s := events.NewSubscriptions()
	events.On(s, contracts.UserCreated, profiles.OnUserChanged)
	events.On(s, contracts.UserUpdated, profiles.OnUserChanged)
	events.On(s, contracts.UserDeleted, profiles.OnUserDeleted)
	events.On(s, contracts.OrderCompleted, profiles.OnOrderCompleted)
	return s
}
