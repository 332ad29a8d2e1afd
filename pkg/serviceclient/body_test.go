package serviceclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/go-troika/troika/pkg/serviceclient"
)

// seen is a transport that keeps the last request.
type seen struct{ last *http.Request }

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.last = r
	return answer(200), nil
}

func TestBodyIsSentWhole(t *testing.T) {
	t.Parallel()
	s := &seen{}
	b := setupOver(t, s, serviceclient.Config{}, "http://a:1")
	in := account{ID: "1"}
	for name, call := range map[string]func() error{
		"post":  func() error { _, err := serviceclient.Post[account](t.Context(), b.Client, "/", in); return err },
		"patch": func() error { _, err := serviceclient.Patch[account](t.Context(), b.Client, "/", in); return err },
		"put":   func() error { _, err := serviceclient.Put[account](t.Context(), b.Client, "/", in); return err },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
		again, err := s.last.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []io.Reader{s.last.Body, again} {
			sent, err := io.ReadAll(body)
			if err != nil || s.last.ContentLength != int64(len(sent)) || string(sent) != `{"id":"1","name":""}` {
				t.Errorf("%s: %d bytes announced, sent %s, %v", name, s.last.ContentLength, sent, err)
			}
		}
	}
}

// brittle is a connection that takes no more once it is broken.
type brittle struct {
	net.Conn
	broken *atomic.Bool
}

func (c brittle) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

// A POST for which the connection in the pool was already dead goes over a new one: nobody has seen it.
func TestPostGoesOnAfterADeadConnection(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
			t.Error("a POST without Idempotency-Key")
		}
		reply(200, ann)(w, r)
	})
	for name, body := range map[string]any{"with a body": account{}, "without": nil} {
		transport := serviceclient.NewTransport()
		t.Cleanup(transport.CloseIdleConnections)
		var first *atomic.Bool
		dials := 0
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			dials++
			broken := new(atomic.Bool)
			if dials == 1 {
				first = broken
			}
			return brittle{conn, broken}, err
		}
		b := setupOver(t, transport, serviceclient.Config{}, url)
		if _, err := get(t, b, "/users/1"); err != nil {
			t.Fatal(err)
		}
		first.Store(true)
		if _, err := serviceclient.Post[account](t.Context(), b.Client, "/users", body); err != nil || dials != 2 {
			t.Errorf("%s, over %d connections: %v", name, dials, err)
		}
	}
	if posts.Load() != 2 {
		t.Errorf("%d posts arrived, want 2", posts.Load())
	}
}
