// Package openapi renders an OpenAPI 3 document as an HTML page that works offline.
package openapi
