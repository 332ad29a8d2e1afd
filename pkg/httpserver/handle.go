package httpserver

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceauth"
)

var errInvalidID = fault.New(fault.Malformed, "invalid_id", "Invalid id")

var jsonType = []string{"application/json"}

// Handle adapts a handler that returns an error. The error ends the chain, and
// the server responds: a [fault.Error] in its chain with that fault, a passed
// deadline with 504, anything else with 500 and no word of what it was.
func Handle(h func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			abort(c, err)
		}
	}
}

func abort(c *gin.Context, err error) {
	_ = c.Error(err)
	c.Abort()
}

// AnyCaller, as a name given to [Callers], stands for every service.
const AnyCaller = "*"

// Callers lets pass only requests with a valid service token of one of the named
// services, and puts the caller's name into the request's context for
// [serviceauth.Caller]. It responds with 401 without a valid token and 403 for another
// service. Without names no request passes; with [AnyCaller] every service's does. From
// here on the request has one of the server's places (Config.InFlight); without one it
// is answered 503 at once.
func Callers(v *serviceauth.Verifier, names ...string) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		caller, err := v.Verify(c.Request.Header)
		if err != nil {
			return err
		}
		c.Request = c.Request.WithContext(serviceauth.WithCaller(c.Request.Context(), caller))
		if !slices.Contains(names, caller) && !slices.Contains(names, AnyCaller) {
			return serviceauth.ErrForbidden
		}
		if p := placeOf(c.Request.Context()); p != nil {
			p.receive(c)
			return p.take(caller)
		}
		return nil
	})
}

// PathUUID returns the UUID in the path parameter param, or a 400 "invalid_id".
// It accepts the 36-character form only.
func PathUUID(c *gin.Context, param string) (uuid.UUID, error) {
	id, ok := parseUUID(c.Param(param))
	if !ok {
		return uuid.Nil, errInvalidID.WithFields(fault.Field{Name: param, Message: "must be a UUID"})
	}
	return id, nil
}

// parseUUID leaves out the braces and prefixes that uuid.Parse takes.
func parseUUID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// JSON responds with v as application/json. It fails, without having answered, when v
// has no JSON form or the request's deadline has passed.
func JSON(c *gin.Context, status int, v any) error {
	if err := c.Request.Context().Err(); err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.Writer.Header()["Content-Type"] = jsonType
	c.Writer.WriteHeader(status)
	// A write error means that the client has disconnected.
	_, _ = c.Writer.Write(body)
	return nil
}

// NoContent responds with 204, under the conditions of [JSON].
func NoContent(c *gin.Context) error {
	if err := c.Request.Context().Err(); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
