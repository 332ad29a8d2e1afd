package client_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

const answer = `{"id":"1","name":"Ann","joined":"a field the caller does not know"}`

// serve makes this program the server instead of the tests.
var serve = flag.Bool("serve", false, "answer calls until standard input ends, for the tests")

func TestMain(m *testing.M) {
	flag.Parse()
	if *serve {
		if err := runServer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// runServer prints the URLs of a server of calls and of one that takes
// spans, and serves until in ends.
func runServer(in io.Reader, out io.Writer) error {
	calls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	spans, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go answerCalls(calls)
	go http.Serve(spans, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	if _, err := fmt.Fprintf(out, "http://%s\nhttp://%s\n", calls.Addr(), spans.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// answerCalls sends every request on every connection the same response, with as
// little work as can be.
func answerCalls(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go answerAll(conn)
	}
}

func answerAll(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	out := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(answer), answer)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) > 2 { // not the end of the head
			continue
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// server is where calls and spans go.
type server struct {
	calls, spans string // URLs
}

// startServer runs this program as the server, until the test ends.
func startServer(t testing.TB) server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-serve")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var urls []string
	for len(urls) < 2 && lines.Scan() {
		urls = append(urls, strings.TrimSpace(lines.Text()))
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	if len(urls) < 2 {
		t.Fatal("the server did not start")
	}
	return server{calls: urls[0], spans: urls[1]}
}
