package chassis

import (
	"net/http"
	"slices"

	"github.com/go-troika/troika/pkg/httpserver"
)

// AdminRoutes returns the routes of the admin port.
func (c *Chassis) AdminRoutes() []httpserver.Route {
	probes := []string{"/health", "/livez", "/readyz"} // of every Server; the admin port does not pass them on
	routes := slices.DeleteFunc(c.operator.Routes(), func(r httpserver.Route) bool { return slices.Contains(probes, r.Path) })
	return append(routes, httpserver.Route{Method: http.MethodGet, Path: "/metrics"},
		httpserver.Route{Method: http.MethodGet, Path: "/debug/pprof/:profile"})
}
