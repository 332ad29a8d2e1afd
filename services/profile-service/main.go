// Command profile-service keeps what people show of themselves and what they have ordered.
package main

import (
	"context"
	_ "embed"
	"io"
	"os"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/services/profile-service/internal/config"
	"github.com/go-troika/troika/services/profile-service/internal/controllers"
	"github.com/go-troika/troika/services/profile-service/internal/models"
	"github.com/go-troika/troika/services/profile-service/internal/routes"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

//go:embed openapi.yaml
var openapi []byte

func main() {
	os.Exit(chassis.Main(chassis.App{
		Defaults: config.Defaults, Schema: models.Schema, Subscriptions: routes.Events(services.NewProfiles(nil)), Serve: run,
	}))
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

	profiles := services.NewProfiles(ch.DB)
	routes.HTTP(ch.HTTP.Router(), ch.Verifier, controllers.NewProfiles(profiles))
	if err := ch.HTTP.Docs(openapi); err != nil {
		return err
	}
	if err := ch.Consume(ctx, routes.Events(profiles)); err != nil {
		return err
	}
	return ch.Run(ctx)
}
