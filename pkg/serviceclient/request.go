package serviceclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/tracing"
)

// Header names of the calls between services.
const (
	HeaderTimeout        = "X-Request-Timeout-Ms" // time left to the callee, in whole milliseconds
	HeaderIdempotencyKey = "Idempotency-Key"
)

var mediaType = []string{"application/json"} // shared by all requests; nobody writes to it

// Option changes one call.
type Option func(*call)

// WithKey sends key as Idempotency-Key and says that the target keeps such keys: the call is then retried like a
// GET. Use it with a key that identifies the operation, such as the one received from the own caller or an event id.
func WithKey(key string) Option {
	return func(c *call) { c.key, c.repeatable = key, true }
}

// call is one request through all its attempts.
type call struct {
	method string
	target string // path and query
	body   []byte // JSON, or nil
	out    any    // where the answer is decoded to, or nil

	key        string // Idempotency-Key, or ""
	repeatable bool   // sending it twice does no harm
	deadline   time.Time
	tried      []string // URLs, one for each attempt
}

func newCall(method, target string, body []byte, out any, opts []Option) *call {
	c := &call{method: method, target: target, body: body, out: out}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		c.repeatable = true
	case http.MethodPost:
		c.key = uuid.NewString()
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// path is the target without its query, which may hold what does not belong into a log.
func (c *call) path() string {
	path, _, _ := strings.Cut(c.target, "?")
	return path
}

// left is the time until the call's or the caller's deadline.
func (c *call) left(ctx context.Context) time.Duration {
	left := time.Until(c.deadline)
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return left
}

// request builds one attempt's request to the instance at base.
func (c *Client) request(ctx context.Context, call *call, base string) (*http.Request, error) {
	var body io.Reader
	if call.body != nil {
		body = bytes.NewReader(call.body)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, base+call.target, body)
	if err != nil {
		return nil, err
	}
	if !call.repeatable {
		// Seeing an Idempotency-Key, net/http would send the request again by itself.
		req.GetBody = nil
	}
	h := req.Header
	tracing.Inject(ctx, h, c.deps.Service)
	h["Accept"] = mediaType
	if call.body != nil {
		h["Content-Type"] = mediaType
	}
	if call.key != "" {
		h.Set(HeaderIdempotencyKey, call.key)
	}
	if deadline, ok := ctx.Deadline(); ok {
		h.Set(HeaderTimeout, strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10))
	}
	return req, c.sign(h)
}

func (c *Client) sign(h http.Header) error {
	if c.deps.Signer == nil {
		return nil
	}
	token, err := c.deps.Signer.Token(c.target)
	if err != nil {
		return err
	}
	h.Set(serviceauth.Header, token)
	return nil
}
