package serviceclient_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/tracing"
)

// miniature returns the URL of a server that gives every request the same answer and allocates nothing, so that the
// figures are the client's alone.
func miniature(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	return "http://" + listener.Addr().String()
}

func answerAll(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	out := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(ann), ann))
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) > 2 {
			continue
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// The floor: a tuned net/http client that reads and decodes, and promises nothing.
func BenchmarkBare(b *testing.B) {
	url := miniature(b)
	transport := serviceclient.NewTransport()
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/users/1", nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var out account
		if err != nil || json.Unmarshal(body, &out) != nil {
			b.Fatal("no answer")
		}
	}
}

// As order-service calls user-service; the ids are there but no span records.
func BenchmarkGet(b *testing.B) {
	bundle := setup(b, serviceclient.Config{}, miniature(b))
	benchmarkGet(b, bundle.Client)
}

// Without the parts that a client may be without.
func BenchmarkGetPlain(b *testing.B) {
	reg, err := registry.New(registry.Config{}, registry.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	if err := reg.Register(target, miniature(b)); err != nil {
		b.Fatal(err)
	}
	transport := serviceclient.NewTransport()
	b.Cleanup(transport.CloseIdleConnections)
	benchmarkGet(b, serviceclient.New(target, serviceclient.Config{}, serviceclient.Deps{
		Service: caller, Registry: reg, Transport: transport,
	}))
}

func benchmarkGet(b *testing.B, c *serviceclient.Client) {
	ctx := tracing.WithRequestID(b.Context(), "req-1") // the server's part
	b.ReportAllocs()
	for b.Loop() {
		if _, err := serviceclient.Get[account](ctx, c, "/users/1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRefused(b *testing.B) {
	bundle := setup(b, serviceclient.Config{}, serve(b, reply(500, "")))
	for range 10 {
		_, _ = get(b, bundle, "/users/1")
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = get(b, bundle, "/users/1")
	}
}
