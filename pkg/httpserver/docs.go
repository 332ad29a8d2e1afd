package httpserver

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/openapi"
)

// Docs serves an OpenAPI 3 document at /openapi.yaml and as an HTML page at /docs, both
// without authentication. It fails if document is not OpenAPI 3 in YAML.
func (s *Server) Docs(document []byte) error {
	page, err := openapi.Page(document)
	if err != nil {
		return err
	}
	s.open("/openapi.yaml", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/yaml", document)
	})
	s.open("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", openapi.Policy())
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	return nil
}
