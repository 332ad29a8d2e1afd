// Package control lets other invocations see and disturb a stack that runs in
// the foreground of one: HTTP on a Unix socket that only its owner can open.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

// Serve answers on the socket for w until ctx ends. A request to go down calls
// stop and does not wait.
func Serve(ctx context.Context, socket string, w world.World, stop func()) (wait func() error, err error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("open the control socket (a shorter TMPDIR may help): %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: routes(w, stop), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 2)
	go func() { done <- server.Serve(l) }()
	go func() {
		<-ctx.Done()
		done <- server.Close()
	}()
	return func() error {
		if err := errors.Join(<-done, <-done); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}

func routes(w world.World, stop func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(rw http.ResponseWriter, r *http.Request) {
		status, err := w.Status(r.Context())
		answer(rw, status, err)
	})
	mux.HandleFunc("POST /chaos/{verb}/{name}", func(rw http.ResponseWriter, r *http.Request) {
		answer(rw, nil, w.Chaos(r.Context(), r.PathValue("verb"), r.PathValue("name")))
	})
	mux.HandleFunc("POST /down", func(rw http.ResponseWriter, r *http.Request) {
		answer(rw, nil, nil)
		stop()
	})
	return mux
}

func answer(rw http.ResponseWriter, body any, err error) {
	if err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(rw).Encode(body)
}

// Client is a running stack seen from another invocation. It is safe for
// concurrent use.
type Client struct {
	dir  string
	http *http.Client
}

// Attach returns the stack of the run folder at path, or false if none runs
// there that belongs to the calling user.
func Attach(ctx context.Context, path string) (*Client, bool) {
	if !checkout.OwnedByUs(path) {
		return nil, false
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", checkout.SocketIn(path))
	}
	c := &Client{dir: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
	_, err := c.Status(ctx)
	return c, err == nil
}

// Status implements [world.World].
func (c *Client) Status(ctx context.Context) (world.Status, error) {
	var status world.Status
	err := c.call(ctx, http.MethodGet, "/status", &status)
	return status, err
}

// Chaos implements [world.World].
func (c *Client) Chaos(ctx context.Context, verb, name string) error {
	return c.call(ctx, http.MethodPost, "/chaos/"+verb+"/"+name, nil)
}

// Logs implements [world.World].
func (c *Client) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	return local.Logs(ctx, c.dir, out, follow, name)
}

// Down implements [world.World]. It returns when the run folder is gone.
func (c *Client) Down(ctx context.Context) error {
	if err := c.call(ctx, http.MethodPost, "/down", nil); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(c.dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(string(bytes.TrimSpace(body)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
