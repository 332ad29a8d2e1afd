// Package console serves a web page that shows a running stack live: services and what
// flows between them, circuit breakers, events, and traces with their log lines. The
// console asks the admin ports of the services while a page is open, and receives their
// spans over OTLP/HTTP.
package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// Times of the servers.
const (
	headerTime = 5 * time.Second
	readTime   = 10 * time.Second // with the body
	idleTime   = time.Minute
	stopTime   = 2 * time.Second
)

// Run is what a button starts. It writes its progress to out.
type Run func(ctx context.Context, out io.Writer) error

// Config configures a console.
type Config struct {
	Listen   string   // host:port of the page
	Receiver string   // host:port of the receiver of spans; "" for none
	Forward  string   // base URL of another receiver, which gets the spans first; "" for none
	Services []string // their names

	// Stack is the stack to show and to control. Without it, the console shows the services at
	// Addresses, and commands to copy instead of controlling them.
	Stack     stack.Handle
	Addresses []Address

	Gateway  client.Signer // signs the requests of the buttons
	Operator client.Signer // signs those that read and redrive events
	Runs     map[string]Run
}

// Console is a web server. Its methods are safe for concurrent use.
type Console struct {
	cfg      Config
	token    string // required to change anything
	page     net.Listener
	receiver net.Listener
	private  bool          // the receiver listens on loopback
	turn     chan struct{} // has a value while an export is received
	traces   *traces
	stream   *broadcast
	runs     runs
	life     context.Context // ends with [Console.Run]; of the runs

	// Of the goroutine that polls.
	history history
	last    map[string]*observed // by service
	feed    feed
	lacks   sync.Map // paths that a service has not, such as the log of one that publishes no events

	mu          sync.Mutex
	user, order string // the last ones made by buttons
}

// New listens on the addresses of cfg. Close it by [Console.Run] with a context that ends.
func New(cfg Config) (*Console, error) {
	c := &Console{
		cfg: cfg, token: rand.Text(), turn: make(chan struct{}, 1),
		traces: newTraces(), stream: newBroadcast(),
		history: history{}, last: map[string]*observed{}, feed: feed{after: map[string]int64{}},
	}
	var err error
	if c.page, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("open the console: %w", err)
	}
	if cfg.Receiver != "" {
		if c.receiver, err = net.Listen("tcp", cfg.Receiver); err != nil {
			return nil, errors.Join(fmt.Errorf("receive traces: %w", err), c.page.Close())
		}
		c.private = isLoopback(c.receiver.Addr().String())
	}
	return c, nil
}

// URL returns the address of the page. Its fragment is the token, which the browser does
// not send; without it the page only shows.
func (c *Console) URL() string {
	_, port, _ := net.SplitHostPort(c.page.Addr().String())
	return fmt.Sprintf("http://127.0.0.1:%s/#%s", port, c.token)
}

// Run serves until ctx ends.
func (c *Console) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.life = ctx
	servers := map[*http.Server]net.Listener{
		{Handler: c.handler()}: c.page,
	}
	if c.receiver != nil {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /v1/traces", c.receive)
		servers[&http.Server{Handler: mux, WriteTimeout: exportTime}] = c.receiver
	}
	var group sync.WaitGroup
	group.Go(func() { c.poll(ctx) })
	errs := make(chan error, len(servers))
	for server, listener := range servers {
		server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = headerTime, readTime, idleTime
		server.BaseContext = func(net.Listener) context.Context { return ctx }
		group.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				errs <- err
				cancel()
			}
		})
	}
	<-ctx.Done()
	for server := range servers {
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		_ = server.Shutdown(stopping) // a request that is not over then has no one to read it
		done()
	}
	group.Wait()
	c.runs.group.Wait()
	close(errs)
	return <-errs
}
