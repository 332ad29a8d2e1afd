// Command order-service keeps the orders.
package main

import (
	"context"
	_ "embed"
	"io"
	"os"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/services/order-service/internal/config"
	"github.com/go-troika/troika/services/order-service/internal/controllers"
	"github.com/go-troika/troika/services/order-service/internal/models"
	"github.com/go-troika/troika/services/order-service/internal/routes"
	"github.com/go-troika/troika/services/order-service/internal/services"
)

//go:embed openapi.yaml
var openapi []byte

func main() {
	os.Exit(chassis.Main(chassis.App{Defaults: config.Defaults, Schema: models.Schema, Serve: run}))
}

// run serves until ctx is done.
func run(ctx context.Context, environ []string, out io.Writer) error {
	cfg, err := env.Load[config.Config](environ, config.Defaults...)
	if err != nil {
		return err
	}
	ch, err := chassis.Open(ctx, cfg.Chassis, out, models.Schema)
	if err != nil {
		return err
	}
	defer ch.Close()

	users := services.NewUsers(ch.Client(contracts.UserService, serviceclient.Config{
		Breaker: breaker.Config{Failures: cfg.Breaker.Failures, Cooldown: cfg.Breaker.Cooldown},
	}))
	orders := services.NewOrders(ch.DB, users)
	routes.HTTP(ch.HTTP.Router(), ch.Verifier, controllers.NewOrders(orders))
	if err := ch.HTTP.Docs(openapi); err != nil {
		return err
	}
	if err := ch.Relay(ctx); err != nil {
		return err
	}
	return ch.Run(ctx)
}
