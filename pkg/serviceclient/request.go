package serviceclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
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

// wireIdempotencyKey is the header as it is sent. To net/http the canonical spelling means that the request may be sent
// again although the server has seen it; whether that is so, only [WithKey] says.
const wireIdempotencyKey = "idempotency-key"

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
	first      [1]string
}

func newCall(method, target string, body []byte, out any, opts []Option) *call {
	c := &call{method: method, target: target, body: body, out: out}
	c.tried = c.first[:0]
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

// until is the call's or the caller's deadline, whichever is nearer.
func (c *call) until(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(c.deadline) {
		return deadline
	}
	return c.deadline
}

// request builds one attempt's request to the instance at base.
func (c *Client) request(ctx context.Context, call *call, base *url.URL, left time.Duration) (*http.Request, error) {
	u, err := resolve(base, call.target)
	if err != nil {
		return nil, err
	}
	req := (&http.Request{
		Method: call.method, URL: u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if call.body != nil {
		call.attach(req)
	}
	req.Header, err = c.header(ctx, call, left)
	return req, err
}

// attach gives req the body. With GetBody net/http itself goes to another connection when the one it had turns out to
// be closed before anything was written.
func (c *call) attach(req *http.Request) {
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.body)), nil }
	req.Body, _ = body()
	req.GetBody = body
	req.ContentLength = int64(len(c.body))
}

// resolve answers base followed by target. It parses only what has more to it than letters, digits and slashes.
func resolve(base *url.URL, target string) (*url.URL, error) {
	path, query, asks := strings.Cut(target, "?")
	if base.RawPath != "" || !plain(path) || asks && query == "" || strings.ContainsFunc(query, notInQuery) {
		return url.Parse(base.String() + target)
	}
	u := *base
	u.Path += path
	u.RawQuery = query
	return &u, nil
}

func plain(path string) bool {
	for i := range len(path) {
		c := path[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '/' && c != '-' && c != '_' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}

func notInQuery(r rune) bool { return r <= ' ' || r == '#' || r >= 0x7f }

func (c *Client) header(ctx context.Context, call *call, left time.Duration) (http.Header, error) {
	h := make(http.Header, 8)
	tracing.Inject(ctx, h, c.deps.Service)
	h["Accept"] = mediaType
	if call.body != nil {
		h["Content-Type"] = mediaType
	}
	if call.key != "" {
		h[wireIdempotencyKey] = []string{call.key}
	}
	h[HeaderTimeout] = c.timeLeft(left)
	return h, c.sign(h)
}

// timeLeft is the line that says how long the callee has. Most calls have the whole of an attempt's time.
func (c *Client) timeLeft(left time.Duration) []string {
	if left == c.cfg.AttemptTimeout {
		return c.wholeTime
	}
	return []string{millis(left)}
}

func millis(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }

func (c *Client) sign(h http.Header) error {
	if c.deps.Signer == nil {
		return nil
	}
	token, err := c.deps.Signer.Token(c.target)
	if err != nil {
		return err
	}
	line := c.token.Load()
	if line == nil || line[0] != token {
		line = &[1]string{token}
		c.token.Store(line)
	}
	h[serviceauth.Header] = line[:]
	return nil
}
