package local

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
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Serve serves other invocations of the driver: HTTP on a Unix socket that only its
// owner can open. A request to go down calls down and does not wait. Close ends it.
func Serve(socket string, s stack.Handle, down func()) (closeServer func() error, err error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("open the control socket (a shorter TMPDIR may help): %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(rw http.ResponseWriter, r *http.Request) {
		status, err := s.Status(r.Context())
		respond(rw, status, err)
	})
	mux.HandleFunc("POST /chaos/{verb}/{name}", func(rw http.ResponseWriter, r *http.Request) {
		respond(rw, nil, s.Chaos(r.Context(), r.PathValue("verb"), r.PathValue("name")))
	})
	mux.HandleFunc("POST /down", func(rw http.ResponseWriter, _ *http.Request) {
		respond(rw, nil, nil)
		down()
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return func() error {
		err := server.Close()
		<-served
		return err
	}, nil
}

func respond(rw http.ResponseWriter, body any, err error) {
	if err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(rw).Encode(body)
}

// Client is a running stack of another invocation. It is safe for concurrent use.
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
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	c := &Client{dir: path, http: &http.Client{Transport: transport}}
	_, err := c.Status(ctx)
	return c, err == nil
}

// Status implements [stack.Handle].
func (c *Client) Status(ctx context.Context) (status stack.Status, err error) {
	err = c.call(ctx, http.MethodGet, "/status", &status)
	return status, err
}

// Chaos implements [stack.Handle].
func (c *Client) Chaos(ctx context.Context, verb, name string) error {
	return c.call(ctx, http.MethodPost, "/chaos/"+verb+"/"+name, new(any))
}

// Logs implements [stack.Handle].
func (c *Client) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	return Logs(ctx, c.dir, out, follow, name)
}

// Down implements [stack.Handle]. It returns when the run folder is gone.
func (c *Client) Down(ctx context.Context) error {
	if err := c.call(ctx, http.MethodPost, "/down", new(any)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, err := os.Stat(c.dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

// call sends a request and decodes the body of its response into the pointer into.
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
	return json.Unmarshal(body, into)
}
