package durability

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/e2e/world"
)

// client calls whichever instance answers, as often as it takes.
type client struct {
	stack   *stack
	http    *http.Client
	timeout time.Duration // of one attempt
}

const (
	attempts = 400
	between  = 25 * time.Millisecond
)

// call sends a request until an instance answers it with less than 500.
func (c *client) call(ctx context.Context, caller, service, method, path string, in, out any) (int, error) {
	var last error
	for range attempts {
		status, err := c.try(ctx, caller, service, method, path, in, out)
		if err == nil {
			return status, nil
		}
		last = err
		if err := poll.Sleep(ctx, between); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%s %s: %w", method, path, last)
}

func (c *client) try(ctx context.Context, caller, service, method, path string, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.stack.base(service, path)+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Service-Token", front.Good(caller, service).Sign(world.Secret))
	req.Header.Set("Content-Type", "application/json")
	if u, ok := in.(user); ok { // a repeated create makes nothing anew
		req.Header.Set("Idempotency-Key", u.Email)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, errors.Join(fmt.Errorf("status %d: %s", resp.StatusCode, text), err)
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(out)
}

// metric reads one metric of an instance.
func (c *client) metric(ctx context.Context, p driver.Part, name string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", p.AdminPort), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s: %w", p.Name, name, lines.Err())
}

// pages reads a list to its end.
func pages[T any](ctx context.Context, c *client, service, path string) ([]T, error) {
	var all []T
	cursor := ""
	for {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"nextCursor"`
		}
		at := path + "?limit=100"
		if cursor != "" {
			at += "&cursor=" + cursor
		}
		status, err := c.call(ctx, front.Caller, service, http.MethodGet, at, nil, &page)
		if err != nil || status != http.StatusOK {
			return nil, unlike("list "+path, status, err)
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}
