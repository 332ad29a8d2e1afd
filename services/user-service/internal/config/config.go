// Package config says what user-service reads from its environment.
package config

import "github.com/go-troika/troika/pkg/chassis"

// Config is all that can be set; .env.example lists it with the defaults.
type Config struct {
	Chassis chassis.Config
}

// Defaults are this service's own values of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=user-service",
	"PORT=8081",
	"ADMIN_PORT=9081",
	"DB_USER=user_service",
}
