package console_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/tools/stack/internal/console"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noStack is a stack of parts that no one runs.
type noStack struct {
	stack.Handle
	asked atomic.Int64
	parts []stack.Part
}

func (s *noStack) Status(context.Context) (stack.Status, error) {
	s.asked.Add(1)
	return stack.Status{Name: "none", World: stack.Local, Parts: s.parts}, nil
}

func (s *noStack) Logs(_ context.Context, out io.Writer, _ bool, _ string) error {
	_, err := io.WriteString(out, "user-service | {\"msg\":\"a\",\"trace_id\":\""+traceA+"\"}\nuser-service | other\n")
	return err
}

type bundle struct {
	t           *testing.T
	stack       *noStack
	http        *http.Client
	page, token string
	receiver    string
	first       map[string]any
}

// open runs a console of a stack and reads its first snapshot.
func open(t *testing.T, parts ...stack.Part) *bundle {
	t.Helper()
	return openWith(t, console.Config{}, parts...)
}

func openWith(t *testing.T, cfg console.Config, parts ...stack.Part) *bundle {
	t.Helper()
	b := &bundle{t: t, stack: &noStack{parts: parts}, http: &http.Client{Transport: &http.Transport{}}}
	sign := func(audience string) (string, error) { return "for " + audience, nil }
	cfg.Listen, cfg.Receiver = "127.0.0.1:0", cmp.Or(cfg.Receiver, "127.0.0.1:0")
	cfg.Stack, cfg.Services = b.stack, []string{"profile-service"}
	cfg.Gateway, cfg.Operator = sign, sign
	c, err := console.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		b.http.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	b.token, u.Fragment = u.Fragment, ""
	b.page = strings.TrimSuffix(u.String(), "/")
	b.status(http.MethodGet, b.page+"/", nil, nil) // it runs
	if n := b.stack.asked.Load(); n != 0 {
		t.Errorf("asked %d times before a page was open", n)
	}
	b.first = b.snapshot()
	b.receiver = "http://" + b.first["receiver"].(string)
	return b
}

// snapshot connects, and returns the first snapshot.
func (b *bundle) snapshot() map[string]any {
	b.t.Helper()
	resp := b.send(http.MethodGet, b.page+"/stream", nil, nil)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	var snapshot map[string]any
	if err = errors.Join(err, json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &snapshot)); err != nil {
		b.t.Fatal(err)
	}
	return snapshot
}

func (b *bundle) send(method, url string, header map[string]string, body []byte) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	req.Host = header["Host"]
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

func (b *bundle) status(method, url string, header map[string]string, body []byte) int {
	b.t.Helper()
	resp := b.send(method, url, header, body)
	_ = resp.Body.Close() // that of a stream has no end
	return resp.StatusCode
}

func TestOnlyThisMachineWithTheToken(t *testing.T) {
	b := open(t)
	port := b.page[strings.LastIndex(b.page, ":"):]
	for _, c := range []struct {
		method, path, host, token, body string
		status                          int
	}{
		{"GET", "/", "", "", "", 200},
		{"GET", "/", "localhost" + port, "", "", 200},
		{"GET", "/", "[::1]" + port, "", "", 200},
		{"GET", "/", "console.example.com", "", "", 421},
		{"GET", "/stream", "127.0.0.1.example.com" + port, "", "", 421},
		{"POST", "/do/user", "console.example.com", b.token, "{}", 421},
		{"GET", "/nowhere", "", "", "", 404},
		{"GET", "/do/user", "", b.token, "", 404},
		{"POST", "/do/user", "", "", "{}", 403},
		{"POST", "/do/user", "", b.token[1:], "{}", 403},
		{"POST", "/do/nothing", "", b.token, "{}", 404},
		{"POST", "/do/user", "", b.token, "{", 400},
		{"POST", "/do/user", "", b.token, `{"nome":"Ada"}`, 400},
		{"POST", "/do/user", "", b.token, `{"name":"` + strings.Repeat("a", 1<<17) + `"}`, 400},
		{"POST", "/do/user", "", b.token, "{}", 200}, // and says that there is no user-service
	} {
		header := map[string]string{"Host": c.host, "X-Console-Token": c.token}
		if got := b.status(c.method, b.page+c.path, header, []byte(c.body)); got != c.status {
			t.Errorf("%s %s to host %q with token %q: %d, want %d", c.method, c.path, c.host, c.token, got, c.status)
		}
	}
	resp := b.send(http.MethodGet, b.page+"/", nil, nil)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	policy := resp.Header.Get("Content-Security-Policy")
	if err != nil || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q, %v", policy, err)
	}
	if bytes.Contains(text, []byte(b.token)) {
		t.Error("the page contains the token")
	}
}

func TestPageIsSmall(t *testing.T) {
	var size int64
	files, err := filepath.Glob("page/*")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 60<<10 {
		t.Errorf("the page has %d bytes, over 60 KiB", size)
	}
}

func TestStreamEndsWithTheConsole(t *testing.T) {
	b := open(t)
	resp := b.send(http.MethodGet, b.page+"/stream", nil, nil)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Error(err)
	}
	// open's cleanup fails if the console does not end
}

// TestSilentClientsAreDropped takes 10 s, the time that a request has.
func TestSilentClientsAreDropped(t *testing.T) {
	b := open(t)
	resp := b.send(http.MethodGet, b.page+"/stream", nil, nil)
	t.Cleanup(func() { _ = resp.Body.Close() })
	stream := bufio.NewReader(resp.Body)
	var silent []net.Conn
	for _, url := range []string{b.page, b.receiver} {
		for _, begun := range []string{
			"POST /do",
			"POST /do/user HTTP/1.1\r\nHost: localhost\r\nX-Console-Token: " + b.token + "\r\nContent-Length: 10\r\n\r\n{",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, begun)
			silent = append(silent, conn)
		}
	}
	for _, conn := range silent {
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Error("the connection stays:", err)
		}
	}
	for range 30 { // those since then, and two more
		if _, err := stream.ReadString('\n'); err != nil {
			t.Fatal("the stream ended:", err)
		}
	}
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
