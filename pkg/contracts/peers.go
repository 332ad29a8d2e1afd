package contracts

// ProfileService is the name under which profile-service is called and signs its
// tokens.
const ProfileService = "profile-service"

// Peers says where the services are that others call or hear, unless they are
// looked up in Redis (REGISTRY=redis). Each value is a base URL or a comma list
// of several instances' URLs.
type Peers struct {
	UserServiceURL    string `env:"USER_SERVICE_URL" envDefault:"http://127.0.0.1:8081"`
	OrderServiceURL   string `env:"ORDER_SERVICE_URL" envDefault:"http://127.0.0.1:8082"`
	ProfileServiceURL string `env:"PROFILE_SERVICE_URL" envDefault:"http://127.0.0.1:8083"`
}

// URLs gives the addresses by service name.
func (p Peers) URLs() map[string]string {
	return map[string]string{
		UserService:    p.UserServiceURL,
		OrderService:   p.OrderServiceURL,
		ProfileService: p.ProfileServiceURL,
	}
}
