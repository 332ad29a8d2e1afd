// Package middleware contains the middleware of user-service alone; shared middleware is
// in pkg/httpserver.
package middleware

import "github.com/gin-gonic/gin"

// AcceptPatch names the media type that PATCH of the same path takes (RFC 5789, 3.1).
func AcceptPatch(c *gin.Context) { c.Header("Accept-Patch", "application/json") }
