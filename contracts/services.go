package contracts

// Names of callers and services: in tokens, in the registry, and as the source of
// events.
const (
	// Gateway is the caller that acts for people: the API gateway and command-line tools.
	Gateway        = "gateway"
	UserService    = "user-service"
	OrderService   = "order-service"
	ProfileService = "profile-service"
)

// ServiceURLs are the addresses of the services, unless they are looked up in Redis
// (REGISTRY=redis). Each value is a base URL or a comma list of several instances'.
type ServiceURLs struct {
	UserServiceURL    string `env:"USER_SERVICE_URL" envDefault:"http://127.0.0.1:8081"`
	OrderServiceURL   string `env:"ORDER_SERVICE_URL" envDefault:"http://127.0.0.1:8082"`
	ProfileServiceURL string `env:"PROFILE_SERVICE_URL" envDefault:"http://127.0.0.1:8083"`
}

// URLs returns the addresses by service name.
func (s ServiceURLs) URLs() map[string]string {
	return map[string]string{
		UserService:    s.UserServiceURL,
		OrderService:   s.OrderServiceURL,
		ProfileService: s.ProfileServiceURL,
	}
}
