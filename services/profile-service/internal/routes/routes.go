// Package routes lists the HTTP routes and event subscriptions of profile-service.
package routes

import (
	"time"

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
	r.PATCH("/profiles/:userId", callers(contracts.Gateway).OrUser(), unconditional, httpserver.Handle(profiles.Update))
	r.GET("/v2/profiles/:userId", callers(contracts.Gateway).OrUser(), middleware.AcceptPatch,
		httpserver.Handle(profiles.Show))
	r.PATCH("/v2/profiles/:userId", callers(contracts.Gateway).OrUser(), httpserver.RequireIfMatch(),
		httpserver.Handle(profiles.Update))

	ch.Consume(Events(service))
	return nil
}

// unconditional marks the route that changes a profile without If-Match.
var unconditional = httpserver.Deprecated(
	time.Date(2026, time.November, 28, 0, 0, 0, 0, time.UTC), time.Date(2027, time.June, 1, 0, 0, 0, 0, time.UTC),
	"https://github.com/go-troika/troika/blob/main/docs/adr/0018-api-versions.md")

// Events returns the subscriptions of the service.
func Events(profiles *services.Profiles) *events.Subscriptions {
	s := events.NewSubscriptions()
	events.On(s, contracts.UserCreated, profiles.OnUserChanged)
	events.On(s, contracts.UserUpdated, profiles.OnUserChanged)
	events.On(s, contracts.UserDeleted, profiles.OnUserDeleted)
	events.On(s, contracts.OrderCompleted, profiles.OnOrderCompleted)
	return s
}
