package chassis

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
)

// AdminRoutes returns the routes of the admin port.
func (c *Chassis) AdminRoutes() gin.RoutesInfo {
	probes := []string{"/health", "/livez", "/readyz"} // of every Server; the admin port does not pass them on
	routes := slices.DeleteFunc(c.operator.Routes(), func(r gin.RouteInfo) bool { return slices.Contains(probes, r.Path) })
	return append(routes, gin.RouteInfo{Method: http.MethodGet, Path: "/metrics"},
		gin.RouteInfo{Method: http.MethodGet, Path: "/debug/pprof/:profile"})
}
