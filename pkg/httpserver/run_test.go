package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
)

// run serves b until the returned function is called, which answers Run's error.
func run(t *testing.T, b *bundle) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- b.Run(ctx) }()
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + port, func() error { cancel(); return <-done }
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

func TestRun(t *testing.T) {
	b := setup(t, httpserver.Config{})
	if b.Addr() != "" {
		t.Errorf("address %q before listening", b.Addr())
	}
	b.handle(http.MethodGet, "/", ok)
	url, stop := run(t, b)
	if resp := get(t, url); resp.StatusCode != http.StatusOK || resp.Close {
		t.Errorf("answer %d, closes: %v", resp.StatusCode, resp.Close)
	}
	b.Drain()
	if resp := get(t, url); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("while draining: %d, closes: %v", resp.StatusCode, resp.Close)
	}
	if resp := get(t, url+"/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz while draining: %d", resp.StatusCode)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestRunReportsBusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := setup(t, httpserver.Config{Port: l.Addr().(*net.TCPAddr).Port})
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run on a busy port: %v", err)
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	entered, release := make(chan struct{}), make(chan struct{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error { close(entered); <-release; return ok(c) })
	url, stop := run(t, b)
	status := make(chan int, 1)
	go func() { status <- get(t, url).StatusCode }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the listener is gone
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if got := <-status; got != http.StatusOK {
		t.Errorf("request in flight ended with %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopHasADeadline(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{Shutdown: 20 * time.Millisecond})
	entered := make(chan struct{})
	b.handle(http.MethodGet, "/", func(c *gin.Context) error { close(entered); <-c.Done(); return c.Err() })
	url, stop := run(t, b)
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	if err := stop(); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("Run ended with %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("a request outlived the server")
	}
}

// TestWire holds what only shows on a connection: lines as a hostile client sends
// them, and when the server hangs up.
func TestWire(t *testing.T) {
	t.Parallel()
	b := binding[item](t, httpserver.Config{})
	b.SetReadHeaderTimeout(50 * time.Millisecond)
	url, stop := run(t, b)
	chunked := "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", maxBody+1, strings.Repeat(" ", maxBody+1))
	for name, tc := range map[string]struct{ send, want string }{
		"chunked over the limit": {chunked, "413"},
		"length over the limit":  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n", "413"},
		"length, a byte over":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n", "413"},
		"headers over the limit": {"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", "431"},
		"two lengths":            {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}", "400"},
		"slow headers":           {"GET / HTTP/1.1\r\nHost: a\r\n", ""},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, tc.send); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		status, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: no answer", name)
		}
		if !strings.HasPrefix(strings.TrimPrefix(status, "HTTP/1.1 "), tc.want) || tc.want == "" && status != "" {
			t.Errorf("%s: %q, want %s", name, status, tc.want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestOversizedBodyGetsItsAnswer sends what the server will not read: the client
// must get the refusal, not a reset connection.
func TestOversizedBodyGetsItsAnswer(t *testing.T) {
	t.Parallel()
	url, stop := run(t, binding[item](t, httpserver.Config{}))
	for i := range 20 {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		resp, err := (&http.Client{Transport: transport}).Post(url, "application/json", strings.NewReader(strings.Repeat(" ", 3<<20)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", resp.StatusCode)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// One caller cannot take a service's memory with connections that it does not use: those
// past the limit wait until another one ends.
func TestConnectionsAreLimited(t *testing.T) {
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/", ok)
	url, stop := run(t, b)
	const limit = 4096
	open := make([]net.Conn, limit+1)
	answered := make(chan error, 1)
	for i := range open {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		open[i] = conn
		ask := func() error {
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				return err
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
		if i == limit {
			go func() { answered <- ask() }()
		} else if err := ask(); err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("connection %d is served (%v)", limit+1, err)
	case <-time.After(300 * time.Millisecond):
	}
	open[0].Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	for _, conn := range open {
		conn.Close()
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
