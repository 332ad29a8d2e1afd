package durability_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/poll"
)

// api calls any instance of a service.
type api struct {
	*client.Client
	stack *driver.Stack
}

const (
	retryTime  = 2 * time.Minute
	statusPath = "/events/status"
)

// send sends a request to one of the instances. A status of 500 and above is an error.
func (a *api) send(
	ctx context.Context, service, method, path string, body any, changes ...client.Change,
) (client.Response, error) {
	instances := a.stack.Instances(service)
	one := instances[rand.IntN(len(instances))]
	base := one.URL
	if path == statusPath { // operators' routes are on the admin port
		base = one.Admin()
	}
	r, err := a.Send(ctx, service, method, base+path, body, changes...)
	if err == nil && r.Status >= http.StatusInternalServerError {
		err = unexpected(method+" "+path, r)
	}
	return r, err
}

// retry sends a request until an instance responds with less than 500.
func (a *api) retry(
	ctx context.Context, service, method, path string, body any, changes ...client.Change,
) (r client.Response, err error) {
	err = poll.Until(ctx, retryTime, func() (err error) {
		r, err = a.send(ctx, service, method, path, body, changes...)
		return err
	})
	return r, err
}

// retryFor is retry for a response of 200, which it decodes.
func retryFor[T any](
	ctx context.Context, a *api, service, method, path string, body any, changes ...client.Change,
) (T, error) {
	r, err := a.retry(ctx, service, method, path, body, changes...)
	if err == nil && r.Status != http.StatusOK {
		err = unexpected(method+" "+path, r)
	}
	if err != nil {
		var none T
		return none, err
	}
	return client.Parse[T](r)
}

// list reads a list to its end.
func list[T any](ctx context.Context, a *api, service, path string) ([]T, error) {
	return client.All[T](path, url.Values{}, func(path string) (client.Response, error) {
		return a.retry(ctx, service, http.MethodGet, path, nil)
	})
}

// unexpected returns the error of a status other than the one that is wanted.
func unexpected(what string, r client.Response) error {
	return fmt.Errorf("%s: status %d: %s", what, r.Status, r.Body)
}

// metric reads one metric of an instance.
func (a *api) metric(ctx context.Context, p driver.Part, name string) (float64, error) {
	r, err := a.Send(ctx, p.Service, http.MethodGet, p.Admin()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(r.Body)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", p.Name, name)
}
