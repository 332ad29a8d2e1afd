// Package middleware contains the middleware of order-service alone; shared middleware is
// in pkg/httpserver.
package middleware

import "github.com/gin-gonic/gin"

// AcceptPost names the media type that POST to the same path takes (Linked Data
// Platform 1.0, 7.1).
func AcceptPost(c *gin.Context) { c.Header("Accept-Post", "application/json") }
