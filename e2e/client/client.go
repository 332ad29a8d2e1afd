// Package client calls the services over HTTP and JSON, without any retry.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Caller is the name by which a Client signs its tokens.
const Caller = "gateway"

// Client calls services. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	tokens sync.Map // by service
}

// New returns a client. timeout bounds each call.
func New(transport http.RoundTripper, timeout time.Duration) *Client {
	return &Client{http: &http.Client{Transport: transport, Timeout: timeout}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Response is a response, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

// Change is applied to a request before it is sent.
type Change func(*http.Request)

// Header sets a header, or removes it for the value "".
func Header(name, value string) Change {
	return func(r *http.Request) {
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
}

// Token returns the token for a service, which is signed once.
func (c *Client) Token(service string) string {
	token, known := c.tokens.Load(service)
	if !known {
		token, _ = c.tokens.LoadOrStore(service, Good(Caller, service).Sign(Caller))
	}
	return token.(string)
}

// Send sends a request to an instance of the service, with a good token and a JSON body
// (nil for none; a []byte is sent as it is). Its error means that there was no response.
func (c *Client) Send(ctx context.Context, service, method, url string, body any, changes ...Change) (Response, error) {
	content, raw := body.([]byte)
	if body != nil && !raw {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return Response{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		return Response{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Service-Token", c.Token(service))
	for _, change := range changes {
		change(req)
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return Response{resp.StatusCode, resp.Header, text, time.Since(start)}, err
}

// Parse decodes the body of a response of any status.
func Parse[T any](r Response) (T, error) {
	var v T
	if err := json.Unmarshal(r.Body, &v); err != nil {
		return v, fmt.Errorf("status %d: decode %q: %w", r.Status, r.Body, err)
	}
	return v, nil
}

// All reads every page of the list at path, which get requests.
func All[T any](path string, query url.Values, get func(path string) (Response, error)) ([]T, error) {
	var all []T
	query.Set("limit", "100")
	for {
		r, err := get(path + "?" + query.Encode())
		if err == nil && r.Status != http.StatusOK {
			err = fmt.Errorf("list %s: status %d: %s", path, r.Status, r.Body)
		}
		if err != nil {
			return nil, err
		}
		page, err := Parse[struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"nextCursor"`
		}](r)
		if err != nil {
			return nil, err
		}
		if all = append(all, page.Items...); page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// User is a user as the API returns it.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Order is an order as the API returns it.
type Order struct {
	ID       string `json:"id"`
	UserID   string `json:"userId"`
	Status   string `json:"status"`
	Currency string `json:"currency"`
	Items    []Item `json:"items"`
	Total    int64  `json:"total"`
}

// Item is one line of an order; the price is in minor units.
type Item struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unitPrice"`
}

// NewUser returns the body of a registration with a unique email.
func NewUser() map[string]any {
	name := Unique("ada")
	return map[string]any{"email": name + "@example.com", "name": name}
}

// Unique returns the prefix with a random ending.
func Unique(prefix string) string { return prefix + "-" + rand.Text()[:12] }
