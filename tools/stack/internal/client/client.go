// Package client sends requests to the services.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"

	"github.com/go-troika/troika/pkg/serviceauth"
)

// Signer returns a service token for audience.
type Signer func(audience string) (string, error)

// Send sends a request with a token for audience, with body as JSON unless it is nil, and
// with further headers. It returns the response and its body.
func Send(
	ctx context.Context, sign Signer, audience, method, url string, body any, headers ...http.Header,
) (*http.Response, []byte, error) {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return nil, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &payload)
	if err != nil {
		return nil, nil, err
	}
	token, err := sign(audience)
	if err != nil {
		return nil, nil, err
	}
	for _, h := range headers {
		maps.Copy(req.Header, h)
	}
	req.Header.Set(serviceauth.Header, token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, text, err
}
