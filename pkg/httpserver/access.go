package httpserver

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
)

// Access declares the identities that a route takes. The zero Access takes none.
type Access struct {
	services  []string
	users     bool
	public    bool
	unlimited bool
}

// AnyCaller, as a name given to [Callers], stands for every service.
const AnyCaller = "*"

// Callers takes requests with a valid service token of one of the named services. The
// response is 401 without a valid token and 403 for another service.
func Callers(names ...string) Access { return Access{services: names} }

// OrUser returns a that also takes requests with a person's access token. What the person
// may see and change is decided where the data is; see [userauth.Allows].
func (a Access) OrUser() Access {
	a.users = true
	return a
}

// Public takes every request. Tokens are ignored.
func Public() Access { return Access{public: true} }

// Unlimited returns a without Config.InFlight, for routes with a separate limit.
func (a Access) Unlimited() Access {
	a.unlimited = true
	return a
}

// Allows reports whether a takes requests of the named service.
func (a Access) Allows(name string) bool {
	return a.public || slices.Contains(a.services, name) || slices.Contains(a.services, AnyCaller)
}

// AllowsUser reports whether a takes requests of people.
func (a Access) AllowsUser() bool { return a.public || a.users }

// IsPublic reports whether a takes requests without a token.
func (a Access) IsPublic() bool { return a.public }

// challenge returns the WWW-Authenticate of a response that requires a token (RFC 9110,
// 11.6.1; RFC 6750, 3).
func (a Access) challenge() string {
	if a.users {
		return "ServiceToken, Bearer"
	}
	return "ServiceToken"
}

// Router adds routes, each with the identities that it takes.
type Router struct{ s *Server }

// Router returns where a service adds its routes.
func (s *Server) Router() Router { return Router{s} }

// GET adds a route, which also serves HEAD.
func (r Router) GET(path string, a Access, h ...gin.HandlerFunc) {
	r.Handle(http.MethodGet, path, a, h...)
}

// POST adds a route.
func (r Router) POST(path string, a Access, h ...gin.HandlerFunc) {
	r.Handle(http.MethodPost, path, a, h...)
}

// PATCH adds a route.
func (r Router) PATCH(path string, a Access, h ...gin.HandlerFunc) {
	r.Handle(http.MethodPatch, path, a, h...)
}

// DELETE adds a route.
func (r Router) DELETE(path string, a Access, h ...gin.HandlerFunc) {
	r.Handle(http.MethodDelete, path, a, h...)
}

// Handle adds a route of any method. The handlers run for requests that a takes.
func (r Router) Handle(method, path string, a Access, h ...gin.HandlerFunc) {
	r.s.access[method+" "+path] = a
	r.s.api.Handle(method, path, append([]gin.HandlerFunc{r.s.admit(a)}, h...)...)
}

// Route is a route of a server.
type Route struct {
	Method, Path string // Path is gin's template
	Access       Access
}

// Routes returns all routes, the server's own included.
func (s *Server) Routes() []Route {
	var routes []Route
	for _, r := range s.engine.Routes() {
		routes = append(routes, Route{r.Method, r.Path, s.access[r.Method+" "+r.Path]})
	}
	return routes
}
