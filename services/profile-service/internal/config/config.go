// Package config says what profile-service reads from its environment.
package config

import "github.com/go-troika/troika/pkg/chassis"

// Config is all that can be set; .env.example lists it with the defaults.
type Config struct {
	Chassis chassis.Config
}

// Defaults are this service's own values of variables that all services have.
var Defaults = []string{
	"SERVICE_NAME=profile-service",
	"PORT=8083",
	"ADMIN_PORT=9083",
	"DB_USER=profile_service",
}
