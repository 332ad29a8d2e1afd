package serviceclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-troika/troika/pkg/breaker"
)

// Get requests path, which may have a query, and decodes the JSON response into a T. Variable parts of a path need
// url.PathEscape. Every error is an *Error. A 204 leaves T zero; T struct{} takes any body.
func Get[T any](ctx context.Context, c *Client, path string, opts ...Option) (T, error) {
	return send[T](ctx, c, http.MethodGet, path, nil, opts)
}

// Post sends body as JSON, with an Idempotency-Key, and decodes the response as Get does. Without WithKey it is sent
// again only when no connection could be opened.
func Post[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return send[T](ctx, c, http.MethodPost, path, body, opts)
}

// Put sends body as JSON and decodes the response as Get does.
func Put[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return send[T](ctx, c, http.MethodPut, path, body, opts)
}

// Patch sends body as JSON and decodes the response as Get does. It is sent again only when no connection could be
// opened.
func Patch[T any](ctx context.Context, c *Client, path string, body any, opts ...Option) (T, error) {
	return send[T](ctx, c, http.MethodPatch, path, body, opts)
}

// Delete sends a DELETE for path and ignores the response's body.
func Delete(ctx context.Context, c *Client, path string, opts ...Option) error {
	_, err := send[struct{}](ctx, c, http.MethodDelete, path, nil, opts)
	return err
}

// send makes one call; a nil body sends none.
func send[T any](ctx context.Context, c *Client, method, path string, body any, opts []Option) (T, error) {
	var out, zero T
	call := newCall(method, path, &out, opts)
	if err := call.encode(body); err != nil {
		return zero, c.fail(ctx, call, breaker.Ignore, err)
	}
	if err := c.do(ctx, call); err != nil {
		return zero, err
	}
	return out, nil
}

func (c *call) encode(body any) (err error) {
	if !strings.HasPrefix(c.target, "/") {
		return fmt.Errorf("path %q does not begin with a slash", c.target)
	}
	if body == nil {
		return nil
	}
	if c.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("encode body: %w", err)
	}
	return nil
}
