// Package routes lists every way into profile-service: its HTTP routes and the
// events it handles.
package routes

import (
	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/services/profile-service/internal/controllers"
	"github.com/go-troika/troika/services/profile-service/internal/middleware"
)

// HTTP adds the service's routes to r. Each asks v for a service token and
// names who may call it.
func HTTP(r gin.IRouter, v *serviceauth.Verifier, profiles *controllers.Profiles) {
	people := middleware.People(v)

	r.GET("/profiles", people, httpserver.Handle(profiles.List))
	r.GET("/profiles/:userId", people, httpserver.Handle(profiles.Show))
	r.PATCH("/profiles/:userId", people, httpserver.Handle(profiles.Update))
}
