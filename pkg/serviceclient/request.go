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
	"github.com/go-troika/troika/pkg/userauth"
)

// headerIdempotencyKey is not in canonical form: with that, net/http would send a request again although the server
// may have seen it. Only [WithKey] allows that.
const headerIdempotencyKey = "idempotency-key"

const mediaType = "application/json"

// Option changes one call.
type Option func(*call)

// WithKey sends key as Idempotency-Key to a target that stores such keys: the call is then retried like a GET. The key
// identifies the operation, such as the key received from this service's caller or an event id.
func WithKey(key string) Option {
	return func(c *call) { c.key, c.repeatable = key, true }
}

// call is one request through all its attempts.
type call struct {
	method string
	target string // path and query
	body   []byte // JSON, or nil
	out    any    // what the response is decoded into, or nil

	key        string // Idempotency-Key, or ""
	repeatable bool   // safe to send twice
	deadline   time.Time
	tried      []string  // URLs, one for each attempt
	token      string    // of the last attempt
	user       uuid.UUID // on whose behalf token is
	resigned   bool      // its token was replaced after a refusal
}

func newCall(method, target string, out any, opts []Option) *call {
	c := &call{method: method, target: target, out: out}
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

// path returns the target without its query, which may hold data that must not be logged.
func (c *call) path() string {
	path, _, _ := strings.Cut(c.target, "?")
	return path
}

// until returns the earlier of the call's and the caller's deadlines.
func (c *call) until(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(c.deadline) {
		return deadline
	}
	return c.deadline
}

// request builds one attempt's request to the instance at base.
func (c *Client) request(ctx context.Context, call *call, base string, left time.Duration) (*http.Request, error) {
	var body io.Reader
	if call.body != nil {
		body = bytes.NewReader(call.body) // net/http derives GetBody, for a connection that was closed while idle
	}
	req, err := http.NewRequestWithContext(ctx, call.method, base+call.target, body)
	if err != nil {
		return nil, err
	}
	tracing.Inject(ctx, req.Header, c.deps.Service)
	req.Header.Set("Accept", mediaType)
	if call.body != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	if call.key != "" {
		req.Header[headerIdempotencyKey] = []string{call.key}
	}
	req.Header.Set(tracing.HeaderTimeout, strconv.FormatInt(max(left.Milliseconds(), 1), 10))
	if c.deps.Signer == nil {
		return req, nil
	}
	call.user, _ = userauth.User(ctx)
	token, err := c.deps.Signer.TokenFor(c.target, call.user)
	if err != nil {
		return nil, err
	}
	call.token = token
	req.Header.Set(serviceauth.Header, token)
	return req, nil
}
