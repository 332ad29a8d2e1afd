package contracts

import (
	"errors"
	"strings"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/registry"
)

// Names of callers and services: in tokens, in the registry, and as the source of
// events.
const (
	// Gateway is the caller on behalf of users and operators: the API gateway and
	// command-line tools.
	Gateway        = "gateway"
	UserService    = "user-service"
	OrderService   = "order-service"
	ProfileService = "profile-service"
)

// Callers are all names of callers.
func Callers() []string { return []string{Gateway, UserService, OrderService, ProfileService} }

// ServiceURLs are the addresses of the services. With REGISTRY=redis or dns they are the
// fallback while no instance is found. Each value is a base URL or a comma list of the
// base URLs of several instances.
type ServiceURLs struct {
	UserServiceURL    string `env:"USER_SERVICE_URL" envDefault:"http://127.0.0.1:8081"`
	OrderServiceURL   string `env:"ORDER_SERVICE_URL" envDefault:"http://127.0.0.1:8082"`
	ProfileServiceURL string `env:"PROFILE_SERVICE_URL" envDefault:"http://127.0.0.1:8083"`
}

// Validate checks that each value is one or several base URLs.
func (s ServiceURLs) Validate() error {
	var errs []error
	for name, list := range s.URLs() {
		if err := registry.CheckURLs(list); err != nil {
			variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_URL"
			errs = append(errs, env.Invalid(variable, "%v", err))
		}
	}
	return errors.Join(errs...)
}

// URLs returns the addresses by service name.
func (s ServiceURLs) URLs() map[string]string {
	return map[string]string{
		UserService:    s.UserServiceURL,
		OrderService:   s.OrderServiceURL,
		ProfileService: s.ProfileServiceURL,
	}
}
