// Command user-service manages user accounts.
package main

import (
	_ "embed"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/routes"
)

//go:embed openapi.yaml
var openapi []byte

func main() {
	chassis.Main(chassis.App[config.Config]{
		Defaults: config.Defaults, Schema: models.Schema, OpenAPI: openapi, Wire: routes.Wire,
	})
}
