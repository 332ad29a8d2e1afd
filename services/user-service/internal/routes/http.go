// Package routes lists every way into user-service.
package routes

import (
	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/services/user-service/internal/controllers"
	"github.com/go-troika/troika/services/user-service/internal/middleware"
)

// HTTP adds the service's routes to r. Each asks v for a service token and
// names who may call it.
func HTTP(r gin.IRouter, v *serviceauth.Verifier, users *controllers.Users) {
	people, readers := middleware.People(v), middleware.Readers(v)

	r.POST("/users", people, httpserver.Idempotent(), httpserver.Handle(users.Create))
	r.GET("/users", people, httpserver.Handle(users.List))
	r.GET("/users/:id", readers, httpserver.Handle(users.Show))
	r.PATCH("/users/:id", people, httpserver.Handle(users.Update))
	r.DELETE("/users/:id", people, httpserver.Handle(users.Delete))
}
