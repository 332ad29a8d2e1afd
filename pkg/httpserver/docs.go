package httpserver

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"

	"github.com/gin-gonic/gin"
)

//go:embed docs.css
var docsCSS string

// Docs serves the service's OpenAPI description as it is at /openapi.yaml and as
// one page for people, without scripts or anything from elsewhere, at /docs. Both
// are open to all. It fails when openapi is not an OpenAPI description in YAML.
func (s *Server) Docs(openapi []byte) error {
	page, err := renderDocs(openapi)
	if err != nil {
		return err
	}
	open := s.engine.Group("/", s.probe)
	open.GET("/openapi.yaml", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/yaml", openapi)
	})
	open.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", docsPolicy())
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	return nil
}

// docsPolicy allows the page its own style sheet and nothing else.
func docsPolicy() string {
	hash := sha256.Sum256([]byte(docsCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func renderDocs(openapi []byte) ([]byte, error) {
	api, err := parseOpenAPI(openapi)
	if err != nil {
		return nil, err
	}
	var page docsPage
	page.document(api)
	return []byte(page.String()), nil
}
