// Command order-service takes, completes and cancels orders.
package main

import (
	_ "embed"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/services/order-service/internal/config"
	"github.com/go-troika/troika/services/order-service/internal/models"
	"github.com/go-troika/troika/services/order-service/internal/routes"
)

//go:embed openapi.yaml
var openapi []byte

func main() {
	chassis.Main(chassis.App[config.Config]{
		Defaults: config.Defaults, Schema: models.Schema, OpenAPI: openapi, Wire: routes.Wire,
	})
}
