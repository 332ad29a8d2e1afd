package main_test

import (
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/testkit/layout"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/controllers"
	"github.com/go-troika/troika/services/user-service/internal/routes"
)

func TestEachLineStandsInItsRoom(t *testing.T) {
	t.Parallel()
	layout.Rooms(t, ".")
}

func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	routes.HTTP(engine, nil, controllers.NewUsers(nil))
	layout.OpenAPI(t, "openapi.yaml").Routes(t, engine.Routes())
}

func TestEnvironmentIsDocumented(t *testing.T) {
	t.Parallel()
	layout.Environment(t, ".env.example", func(environ []string) (config.Config, error) {
		return env.Load[config.Config](environ, config.Defaults...)
	})
}
