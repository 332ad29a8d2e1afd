package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/world"
)

// Client calls instances by their addresses, over plain net/http, without any
// retry. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	tokens sync.Map // by service
}

// NewClient returns a client; [Client.Close] ends its connections.
func NewClient() *Client {
	return &Client{http: &http.Client{
		Timeout:   15 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second},
	}}
}

// Close ends the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is a response, read to its end.
type Answer struct {
	Status     int
	RetryAfter string
	Body       []byte
	Took       time.Duration
}

// Token returns the token for a service, signed once.
func (c *Client) Token(service string) string {
	token, known := c.tokens.Load(service)
	if !known {
		token, _ = c.tokens.LoadOrStore(service, front.Good(front.Caller, service).Sign(world.Secret))
	}
	return token.(string)
}

// Send sends a request to one instance. body is JSON, or nil.
func (c *Client) Send(ctx context.Context, to Part, method, path string, body any, header http.Header) (Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, to.URL+path, bytes.NewReader(text))
	if err != nil {
		return Answer{}, err
	}
	token := c.Token(to.Service)
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("X-Service-Token", token)
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header.Get("Retry-After"), answer, time.Since(began)}, err
}

// Order places an order at one instance, with a key, "" for a new one.
func (c *Client) Order(ctx context.Context, at Part, user uuid.UUID, key string) (Answer, error) {
	if key == "" {
		key = uuid.NewString()
	}
	return c.Send(ctx, at, http.MethodPost, "/orders", order(user, key), http.Header{"Idempotency-Key": {key}})
}

// Orders returns how many orders the user has, and an error if two of them were
// placed with one key.
func (c *Client) Orders(ctx context.Context, at Part, user uuid.UUID) (int, error) {
	keys, n := map[string]bool{}, 0
	query := url.Values{"userId": {user.String()}, "limit": {"100"}}
	for {
		answer, err := c.Send(ctx, at, http.MethodGet, "/orders?"+query.Encode(), nil, nil)
		if err != nil || answer.Status != http.StatusOK {
			return n, errors.Join(fmt.Errorf("list orders: status %d: %s", answer.Status, answer.Body), err)
		}
		var page struct {
			Items      []front.Order `json:"items"`
			NextCursor string        `json:"nextCursor"`
		}
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			return n, err
		}
		for _, o := range page.Items {
			if keys[o.Items[0].SKU] {
				return n, fmt.Errorf("two orders for the key %s", o.Items[0].SKU)
			}
			keys[o.Items[0].SKU] = true
			n++
		}
		if page.NextCursor == "" {
			return n, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
