// Package routes lists the HTTP routes of user-service.
package routes

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/controllers"
	"github.com/go-troika/troika/services/user-service/internal/middleware"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

// Wire builds the service on ch. Each route lists the identities that it takes.
func Wire(ch *chassis.Chassis, cfg config.Config) error {
	signing, keys, err := cfg.TokenKeys()
	if err != nil {
		return err
	}
	service := services.NewUsers(ch.DB)
	accounts := services.NewAccounts(ch.DB, service, contracts.UserService, signing, ch.Log)
	users, auth := controllers.NewUsers(service), controllers.NewAuth(accounts, keys, ch.HTTP.ClientAddr)
	ch.HTTP.VerifyUsers(userauth.NewVerifier(contracts.UserService, keys))
	ch.Background("accounts", accounts.Run)

	r, callers := ch.HTTP.Router(), httpserver.Callers
	r.POST("/users", callers(contracts.Gateway), httpserver.Idempotent(), httpserver.Handle(users.Create))
	r.GET("/users", callers(contracts.Gateway), httpserver.Handle(users.List))
	r.GET("/users/:id", callers(contracts.Gateway, contracts.OrderService).OrUser(), middleware.AcceptPatch, httpserver.Handle(users.Show))
	r.PATCH("/users/:id", callers(contracts.Gateway).OrUser(), httpserver.Handle(users.Update))
	r.DELETE("/users/:id", callers(contracts.Gateway).OrUser(), httpserver.Handle(users.Delete))

	public := httpserver.Public()
	r.POST("/auth/register", public, httpserver.Handle(auth.Register))
	r.POST("/auth/login", public, httpserver.Handle(auth.Login))
	r.POST("/auth/refresh", public, httpserver.Handle(auth.Refresh))
	r.POST("/auth/logout", public, httpserver.Handle(auth.Logout))
	r.GET(userauth.JWKSPath, public, httpserver.Handle(auth.Keys))

	ch.Relay()
	return nil
}
