// Package middleware holds what runs before a route of profile-service: who may
// call it.
package middleware

import (
	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// People lets in what people do, through the gateway only.
func People(v *serviceauth.Verifier) gin.HandlerFunc {
	return httpserver.Callers(v, contracts.Gateway)
}
