// Package config declares the environment variables of profile-service.
package config

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/chassis"
)

// Config is the configuration; .env.example lists the variables with their defaults.
type Config struct {
	Chassis  chassis.Config
	Services contracts.ServiceURLs
}

// Base implements [chassis.Configuration].
func (c Config) Base() chassis.Config {
	c.Chassis.Registry.URLs = c.Services.URLs()
	return c.Chassis
}

// Defaults are this service's own defaults of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=profile-service",
	"PORT=8083",
	"ADMIN_PORT=9083",
	"DB_USER=profile_service",
}
