package chassis_test

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/httpserver"
)

// A whole service: GET /words for the gateway, and what every service has.
func ExampleMain() {
	chassis.Main(chassis.App[config]{
		Defaults: []string{"SERVICE_NAME=echo-service", "PORT=8084", "ADMIN_PORT=9084"},
		Schema:   schema,
		Wire: func(ch *chassis.Chassis, _ config) error {
			ch.HTTP.Router().GET("/words", httpserver.Callers("gateway"), httpserver.Handle(func(c *gin.Context) error {
				return httpserver.JSON(c, http.StatusOK, []string{"hello"})
			}))
			return nil
		},
	})
}
