// Package config says what order-service reads from its environment.
package config

import (
	"time"

	"github.com/go-troika/troika/pkg/chassis"
)

// Config is all that can be set; .env.example lists it with the defaults.
type Config struct {
	Chassis chassis.Config
	Breaker Breaker
}

// Breaker says when to stop asking user-service.
type Breaker struct {
	// Failures in a row open the breaker.
	Failures int `env:"BREAKER_FAILURES" envDefault:"3" validate:"min=1,max=1000"`
	// Cooldown is how long it stays open before one call may try again.
	Cooldown time.Duration `env:"BREAKER_COOLDOWN" envDefault:"30s" validate:"min=100ms,max=1h"`
}

// Defaults are this service's own values of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=order-service",
	"PORT=8082",
	"ADMIN_PORT=9082",
	"DB_USER=order_service",
}
