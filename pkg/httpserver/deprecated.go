package httpserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// Deprecated marks the responses of a route that has a successor: since is when it was
// deprecated (RFC 9745), sunset when it may be removed (RFC 8594), both to the second.
// docs is the URL of a page that names the successor.
func Deprecated(since, sunset time.Time, docs string) gin.HandlerFunc {
	deprecation, end := "@"+strconv.FormatInt(since.Unix(), 10), sunset.UTC().Format(http.TimeFormat)
	link := "<" + docs + `>; rel="deprecation"; type="text/html"`
	return func(c *gin.Context) {
		c.Header("Deprecation", deprecation)
		c.Header("Sunset", end)
		c.Header("Link", link)
	}
}
