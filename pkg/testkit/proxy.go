package testkit

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Verdict is what a Proxy does with a piece of what a client sends.
type Verdict int

// What a test may decide.
const (
	Pass     Verdict = iota // on to the server
	Cut                     // end the connection; the server does not get it
	CutReply                // on to the server, and end the connection instead of passing the answer
)

// Proxy passes TCP connections on to a server, so that a test can cut them at a chosen
// moment. It is safe for concurrent use.
type Proxy struct {
	ln    net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	judge func(sent []byte) Verdict
}

// NewProxy starts a proxy to target, as in 127.0.0.1:6379. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln}
	ctx, cancel := context.WithCancel(context.Background())
	p.wg.Go(func() { p.serve(ctx, target) })
	t.Cleanup(func() {
		ln.Close()
		cancel()
		p.wg.Wait()
	})
	return p
}

// Port is where clients connect to, on 127.0.0.1.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// Judge has judge decide about every piece that clients send from now on, as
// the network delivers it; nil passes all.
func (p *Proxy) Judge(judge func(sent []byte) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

func (p *Proxy) verdict(sent []byte) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.judge == nil {
		return Pass
	}
	return p.judge(sent)
}

// serve accepts connections until the listener is closed. Those that are open end with ctx.
func (p *Proxy) serve(ctx context.Context, target string) {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		end := func() {
			client.Close()
			server.Close()
		}
		context.AfterFunc(ctx, end)
		var mute atomic.Bool // the next answer ends the connection
		p.wg.Go(func() {
			defer end()
			_, _ = io.Copy(filter{server, func(sent []byte) bool {
				verdict := p.verdict(sent)
				if verdict == CutReply {
					mute.Store(true)
				}
				return verdict != Cut
			}}, client)
		})
		p.wg.Go(func() {
			defer end()
			_, _ = io.Copy(filter{client, func([]byte) bool { return !mute.Load() }}, server)
		})
	}
}

// filter writes to another writer until a piece does not pass.
type filter struct {
	to   io.Writer
	pass func([]byte) bool
}

// Write implements [io.Writer].
func (f filter) Write(piece []byte) (int, error) {
	if !f.pass(piece) {
		return 0, errors.New("connection is cut")
	}
	return f.to.Write(piece)
}
