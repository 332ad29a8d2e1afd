package httpserver

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
)

var errInvalidID = fault.New(fault.Malformed, "invalid_id", "Invalid id")

const mediaJSON = "application/json"

// Handle adapts a handler that returns an error. The error ends the chain, and
// the server responds: with the [fault.Error] in its chain, with 504 after a passed
// deadline, else with 500 without the error's text.
func Handle(h func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			_ = c.Error(err)
			c.Abort()
		}
	}
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

// parseUUID rejects the braces and prefixes that uuid.Parse accepts.
func parseUUID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// JSON responds with v as application/json. It fails, without a response, if v has no
// JSON form or the request's deadline has passed.
func JSON(c *gin.Context, status int, v any) error {
	body, err := encode(c, v)
	if err != nil {
		return err
	}
	write(c, status, mediaJSON, body)
	return nil
}

// encode returns v in JSON, unless the request's deadline has passed.
func encode(c *gin.Context, v any) ([]byte, error) {
	if err := c.Request.Context().Err(); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// NoContent responds with 204, under the conditions of [JSON].
func NoContent(c *gin.Context) error {
	if err := c.Request.Context().Err(); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func write(c *gin.Context, status int, mediaType string, body []byte) {
	c.Header("Content-Type", mediaType)
	c.Status(status)
	// A write error means that the client has disconnected.
	_, _ = c.Writer.Write(body)
}
