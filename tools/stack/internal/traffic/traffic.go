// Package traffic sends requests to a running system: a load that is measured, and a data set to look
// at.
package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Names of the services.
const (
	User  = "user-service"
	Order = "order-service"
)

const requestTime = 10 * time.Second

// Target is the system that requests go to. It is safe for concurrent use.
type Target struct {
	sign client.Signer
	urls map[string][]string // by service
}

// NewTarget returns the instances of a stack that serve now.
func NewTarget(ctx context.Context, s stack.Handle, sign client.Signer) (*Target, error) {
	status, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	t := &Target{sign, map[string][]string{}}
	for _, p := range status.Parts {
		if p.URL != "" && (p.Service == User || p.Service == Order) {
			t.urls[p.Service] = append(t.urls[p.Service], p.URL)
		}
	}
	for _, service := range []string{User, Order} {
		if len(t.urls[service]) == 0 {
			return nil, fmt.Errorf("%s has no address here", service)
		}
	}
	return t, nil
}

// answer is what this package reads of a response.
type answer struct {
	ID, Email, Code, NextCursor string
	Items                       []struct{ ID, Email string }
}

// failedError is a response that is no success.
type failedError struct {
	status int
	code   string
}

func (e failedError) Error() string { return fmt.Sprintf("%d %s", e.status, e.code) }

// send sends a request to one of the service's instances. With a key the request can be repeated.
func (t *Target) send(ctx context.Context, method, service, path string, body any, key string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	headers := http.Header{}
	if key != "" {
		headers.Set("Idempotency-Key", key)
	}
	urls := t.urls[service]
	url := urls[rand.IntN(len(urls))] + path // #nosec G404 -- not for security
	resp, text, err := client.Send(ctx, t.sign, service, method, url, body, headers)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if len(text) > 0 && !strings.HasPrefix(string(text), "[") {
		err = json.Unmarshal(text, &a)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return a, failedError{resp.StatusCode, a.Code}
	}
	return a, err
}
