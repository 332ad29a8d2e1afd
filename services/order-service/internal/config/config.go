// Package config declares the environment variables of order-service.
package config

import (
	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/chassis"
)

// Config is the configuration; .env.example lists the variables with their defaults.
type Config struct {
	Chassis  chassis.Config
	Services contracts.ServiceURLs
	Breaker  breaker.Config // of calls to user-service
}

// Base implements [chassis.Configuration].
func (c Config) Base() chassis.Config {
	c.Chassis.Registry.URLs = c.Services.URLs()
	return c.Chassis
}

// Defaults are this service's own defaults of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=order-service",
	"PORT=8082",
	"ADMIN_PORT=9082",
	"DB_USER=order_service",
	"BREAKER_FAILURES=3",
	"BREAKER_COOLDOWN=30s",
}
